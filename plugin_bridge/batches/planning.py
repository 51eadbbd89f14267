"""From a job file to jobs: globs are followed, presets chosen by pattern, names checked."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from plugin_bridge.audio.formats import SUFFIXES
from plugin_bridge.batches.job_file import JobFile
from plugin_bridge.errors import BridgeError
from plugin_bridge.jobs.contract import Job, Result
from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, SeparateJob
from plugin_bridge.jobs.not_done import NotDone, left_out
from plugin_bridge.jobs.plan import (
    Planned,
    checked,
    files_in,
    label_of,
    session_jobs,
    session_parts,
    together_job,
)
from plugin_bridge.jobs.stems_project import write_project
from plugin_bridge.naming import printable, safe_name

WILD = frozenset("*?[")


@dataclass(frozen=True)
class SessionOfJobs:
    """The jobs of one session, beside whose stems a project is written when they are done."""

    jobs: list[SeparateJob]
    out: Path


@dataclass(frozen=True)
class BatchPlan:
    """All that a job file asks for."""

    plan: list[Planned]
    sessions: list[SessionOfJobs]
    outs: list[Path]

    def projects(self, results: list[Result]) -> Iterator[Path]:
        """Write the project beside each session's stems; yields where."""
        by_label = {result.job: result for result in results}
        for session in self.sessions:
            done = [by_label[job.label] for job in session.jobs if job.label in by_label]
            project = write_project(session.jobs, done, session.out) if session.jobs else None
            if project is not None:
                yield project


def plan_of(file: JobFile) -> BatchPlan:
    """The jobs of ``file``; raises :class:`JobError` with the line where nothing is found."""
    jobs: list[Job] = []
    sessions: list[SessionOfJobs] = []
    for number, table in enumerate(file.tables.job):
        if table.sessions:
            for found in _session_jobs(file, number):
                if isinstance(found, SessionOfJobs):
                    sessions.append(found)
                    jobs += found.jobs
                else:
                    jobs.append(found)
        else:
            jobs += _file_jobs(file, number)
    jobs, renamed = _told_apart(jobs)
    sessions = [
        SessionOfJobs([renamed.get(id(job), job) for job in session.jobs], session.out)
        for session in sessions
    ]
    outs = list(dict.fromkeys(file.out(number) for number in range(len(file.tables.job))))
    return BatchPlan(checked(jobs), sessions, outs)


def _told_apart(jobs: list[Job]) -> tuple[list[Job], dict[int, SeparateJob]]:
    """The jobs with labels that are distinct: with their preset, then with a number, where they must be."""
    renamed: dict[int, SeparateJob] = {}
    counts = Counter(job.label for job in jobs)
    taken: set[str] = set()
    made: list[Job] = []
    for job in jobs:
        label = job.label
        if counts[label] > 1 and isinstance(job, SeparateJob):
            label = f"{label} ({job.preset.name})"
        plain, number = label, 1
        while label in taken:
            number += 1
            label = f"{plain} {number}"
        taken.add(label)
        if label != job.label and isinstance(job, SeparateJob | NotDone):
            changed = replace(job, label=label)
            if isinstance(changed, SeparateJob):
                renamed[id(job)] = changed
            made.append(changed)
        else:
            made.append(job)
    return made, renamed


def _preset(file: JobFile, number: int, name: str) -> str | None:
    """The preset for what is called ``name``."""
    table = file.tables.job[number]
    if table.preset is not None:
        return table.preset
    fits = (preset for pattern, preset in table.presets.items() if _fits(name, pattern))
    return next(fits, None)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.casefold(), pattern.casefold())


def _found(file: JobFile, number: int, key: str) -> Iterator[tuple[Path, Path]]:
    """What the patterns of a job find, each with the folder that its pattern's wildcards begin in."""
    table = file.tables.job[number]
    for index, pattern in enumerate(getattr(table, key)):
        base = _base(pattern)
        # Unlike Path.glob, it takes absolute patterns, and leaves hidden files out.
        names = [pattern]
        if base:
            names = sorted(glob.glob(pattern, root_dir=file.folder, recursive=True))  # noqa: PTH207
        paths = [file.folder / name for name in names]
        found = len(paths)
        paths = [path for path in paths if not _excluded(path, file.folder, table.exclude)]
        if found and not paths:
            raise file.error(("job", number, "exclude"), f"exclude leaves nothing of what {pattern!r} finds")
        if not paths or not (base or paths[0].exists()):
            raise file.error(("job", number, key, index), f"{pattern!r} finds nothing in {file.folder}")
        for path in paths:
            own = path if path.is_dir() else path.parent
            yield path, file.folder / base if base else own


def _base(pattern: str) -> str:
    """The folder before the first wildcard; empty if there is none."""
    parts = Path(pattern).parts
    for number, part in enumerate(parts):
        if WILD & set(part):
            return str(Path(*parts[:number])) if number else "."
    return ""


def _excluded(path: Path, folder: Path, patterns: list[str]) -> bool:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
    return any(_fits(name, pattern) or _fits(path.name, pattern) for pattern in patterns)


def _file_jobs(file: JobFile, number: int) -> Iterator[Job]:
    table = file.tables.job[number]
    out = file.out(number)
    files: dict[Path, Path] = {}
    omitted: dict[Path, str] = {}
    results = out.resolve()
    for path, base in _found(file, number, "inputs"):
        if path.is_dir():
            inputs = files_in(path, out)
            omitted |= inputs.left_out
            kept = [one for one in inputs.files if not _excluded(one[0], file.folder, table.exclude)]
            files |= {one: path.relative_to(base) / tree for one, tree in kept if one not in files}
        elif (
            path.suffix.lower() in SUFFIXES or path.name in table.inputs
        ) and not path.resolve().is_relative_to(results):
            files.setdefault(path, path.parent.relative_to(base))
    if not files:
        raise file.error(("job", number, "inputs"), "there is no audio file among what these find")
    parts: dict[str, list[Part]] = {}
    for index, (path, tree) in enumerate(files.items(), 1):
        preset = _preset(file, number, path.name)
        if preset is None:
            yield NotDone(label_of(path), "fits no pattern of presets", fails=False)
            continue
        part = Part(FileInput(path), out / tree, printable(path.stem), index, printable(path.parent.name))
        parts.setdefault(preset, []).append(part)
    strict = any(file.settings[number, name].strict for name, _ in file.presets_of(number))
    yield from (left_out(label_of(path), reason, strict) for path, reason in omitted.items())
    for preset, group in parts.items():
        text, settings = file.texts[number, preset], file.settings[number, preset]
        if text.preset.together if table.together is None else table.together:
            yield together_job(", ".join(part.track for part in group), group, text, settings)
        else:
            for part in group:
                yield SeparateJob(label_of(part.input.path), (part,), text, settings)


def _session_jobs(file: JobFile, number: int) -> Iterator[SessionOfJobs | NotDone]:
    table = file.tables.job[number]
    roots = tuple(file.folder / root for root in table.media_roots)
    for path, _ in _found(file, number, "sessions"):
        name = path.name or path.parent.name
        out = file.out(number) / safe_name(printable(path.stem if path.is_file() else name))
        try:
            parts = session_parts(path, table.tracks, out, roots, table.post_fader)
        except BridgeError as error:
            yield NotDone(label_of(path), str(error).removeprefix(f"{path}: "), fails=True)
            continue
        chosen: dict[str, list[Part]] = {}
        for part in parts:
            preset = _preset(file, number, part.track)
            if preset is None:
                yield NotDone(f"{label_of(path)}: {part.track}", "fits no pattern of presets", fails=False)
            else:
                chosen.setdefault(preset, []).append(part)
        jobs: list[SeparateJob] = []
        for preset, group in chosen.items():
            text, settings = file.texts[number, preset], file.settings[number, preset]
            as_one = text.preset.together if table.together is None else table.together
            jobs += session_jobs(group, text, settings, as_one)
        if jobs:
            named = [replace(job, label=f"{label_of(path)}: {job.label}") for job in jobs]
            yield SessionOfJobs(named, out)
