"""A folder that is watched: what lies in it becomes jobs when it has settled.

A folder that holds a DAW's project is one session, with all that lies in it; every other audio file is a
job of its own. What is to be done is read off the folder itself, every time: notices from the system only say
when to look, so that none can be missed, and a new start finds all that came meanwhile.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from plugin_bridge.audio.finding import search
from plugin_bridge.batches.settling import Settling
from plugin_bridge.errors import BridgeError
from plugin_bridge.jobs.contract import Job, Result
from plugin_bridge.jobs.inputs import FileInput
from plugin_bridge.jobs.job import Part, PresetText, SeparateJob, Settings
from plugin_bridge.jobs.manifest import Manifest
from plugin_bridge.jobs.not_done import NotDone, left_out
from plugin_bridge.jobs.plan import Planned, checked, label_of, session_jobs, session_parts
from plugin_bridge.jobs.stems_project import write_project
from plugin_bridge.naming import TakenNames, printable, safe_name
from plugin_bridge.sessions.formats import is_project

LOOKING = 20
"""A folder is looked at for one part in so many of the time."""
RETRY_SECONDS = 300.0
"""After which one of those that failed by their disk is tried again; all are when that works."""
PASSING = re.compile(
    "cannot be written|no space left|input/output error|stale file handle|connection timed out|host is down"
    "|no route to host|network is (?:down|unreachable)|transport endpoint",
    re.IGNORECASE,
)
"""What failures say that may be over later: a full disk, a network folder that breaks."""
Sign = tuple[int, int, int]
"""Size, time of change and number of a file."""


@dataclass
class Look:
    """What lies in the folder now."""

    files: dict[Path, Hashable]
    sessions: dict[Path, Hashable]
    left_out: dict[Path, str]

    @property
    def signs(self) -> dict[Path, Hashable]:
        """Of everything that may become a job."""
        return {**self.files, **self.sessions, **dict.fromkeys(self.left_out, "left out")}


@dataclass
class _SessionJobs:
    """The jobs of one session, which get a project beside their stems when all have ended."""

    jobs: list[SeparateJob]
    out: Path
    results: dict[str, Result] = field(default_factory=dict)


class Watched:
    """A folder, where its results go, and what is known of it so far."""

    def __init__(
        self, folder: Path, out: Path, preset: PresetText, settings: Settings, settle_seconds: float
    ) -> None:
        self.folder, self.out = folder, out
        self.interval = settle_seconds
        self._preset, self._settings = preset, settings
        self._settling = Settling(settle_seconds)
        self._names = TakenNames()
        self._first = True
        self._failed: set[Path] = set()
        self._owners: dict[str, Path] = {}
        self._sessions: list[_SessionJobs] = []
        self._running: dict[str, Path] = {}
        self._took = 0.0
        self._clock = time.monotonic
        self._unwritten: dict[Path, float] = {}
        self._tried: Path | None = None

    @property
    def waiting(self) -> bool:
        """Whether something is there that has not settled."""
        return self._settling.waiting

    @property
    def pause(self) -> float:
        """Seconds until the next look, longer where looking itself takes long."""
        return max(self.interval, LOOKING * self._took)

    def due(self) -> list[Planned]:
        """What is to be done now; :meth:`finished` must be told how it went.

        What changes or goes while it is worked with is looked at when that has ended.
        """
        look = self._look()
        self._try_one_again()
        settled, gone = self._settling.look(look.signs, {*self._running.values()})
        if gone:
            for path in gone:
                self._release(path)
            for path in self._failed & look.signs.keys():  # what is gone may have stood in the way of others
                self._settling.again(path)
            self._failed -= {*gone}
        if not settled:
            return []
        places = {path: number for number, path in enumerate([*look.files, *look.sessions], 1)}
        jobs: list[Job] = []
        for path in settled:
            self._release(path)
            made = list(self._jobs(path, look, places.get(path, 0)))
            self._owners |= {job.label: path for job in made}
            self._running |= {job.label: path for job in made}
            jobs += made
        if self._first:  # names stay with those whose results are there already
            jobs.sort(key=lambda job: not _owns(job))
            self._first = False
        return checked(jobs, self._names)

    def finished(self, results: Sequence[Result]) -> list[Path]:
        """Remember what failed; returns the projects that were written beside sessions' stems."""
        for result in results:
            self._running.pop(result.job, None)
            path = self._owners.get(result.job)
            if path is not None:
                (self._failed.add if result.status == "failed" else self._failed.discard)(path)
                self._note_writing(path, result)
        projects = []
        for session in list(self._sessions):
            labels = {job.label for job in session.jobs}
            session.results |= {result.job: result for result in results if result.job in labels}
            if labels <= session.results.keys():
                self._sessions.remove(session)
                done = [session.results[job.label] for job in session.jobs]
                with suppress(BridgeError):  # it may have changed meanwhile, and then it settles again
                    projects.append(write_project(session.jobs, done, session.out))
        return [project for project in projects if project is not None]

    def _note_writing(self, path: Path, result: Result) -> None:
        """A disk that is full, or does not answer, fails everything that comes: none of it is lost."""
        if result.status == "failed" and PASSING.search(result.error):
            self._unwritten[path] = self._clock()
        elif result.status == "done" and path == self._tried:
            for other in self._unwritten:
                self._settling.again(other)
            self._unwritten.clear()

    def _try_one_again(self) -> None:
        for path, failed in self._unwritten.items():
            if self._clock() - failed >= RETRY_SECONDS:
                self._settling.again(path)
                self._tried = path
                # All wait as long again, and the next time it is another's turn.
                self._unwritten = {other: self._clock() for other in self._unwritten if other != path}
            return

    def _release(self, path: Path) -> None:
        for label in [label for label, owner in self._owners.items() if owner == path]:
            self._names.release(label)
            del self._owners[label]

    def _look(self) -> Look:
        begin = time.monotonic()
        try:
            return self._what_is_there()
        finally:
            self._took = time.monotonic() - begin

    def _what_is_there(self) -> Look:
        sessions = {folder: _folder_sign(folder, self.out) for folder in self._session_folders()}
        results = self.out.resolve()
        found = search(self.folder)

        def is_loose(path: Path) -> bool:
            parent = path.parent.resolve()
            return not parent.is_relative_to(results) and not any(
                folder in path.parents for folder in sessions
            )

        return Look(
            {path: _sign(path) for path in found.files if is_loose(path)},
            sessions,
            {path: reason for path, reason in found.left_out.items() if is_loose(path)},
        )

    def _session_folders(self) -> Iterator[Path]:
        """The folders that hold a project, but for those in others of them."""
        results = self.out.resolve()
        for parent, folders, names in os.walk(self.folder):
            path = Path(parent)
            folders[:] = sorted(
                name for name in folders if not name.startswith(".") and (path / name).resolve() != results
            )
            if any(is_project(path / name) for name in names if not name.startswith(".")):
                folders.clear()
                yield path

    def _jobs(self, path: Path, look: Look, index: int) -> Iterator[Job]:
        if path in look.left_out:
            yield left_out(label_of(path), look.left_out[path], self._settings.strict)
        elif path in look.sessions:
            yield from self._session(path)
        else:
            tree = path.parent.relative_to(self.folder)
            parent = printable(path.absolute().parent.name)
            part = Part(FileInput(path), self.out / tree, printable(path.stem), index, parent)
            yield SeparateJob(label_of(path), (part,), self._preset, self._settings)

    def _session(self, path: Path) -> Iterator[Job]:
        out = self.out / path.parent.relative_to(self.folder) if path != self.folder else self.out
        out /= safe_name(printable(path.absolute().name))
        try:
            parts = session_parts(path, (), out)
        except BridgeError as error:
            yield NotDone(label_of(path), str(error).removeprefix(f"{path}: "), fails=True)
            return
        together = self._preset.preset.together
        made = session_jobs(parts, self._preset, self._settings, together)
        jobs = [replace(job, label=f"{label_of(path)}: {job.label}") for job in made]
        self._sessions.append(_SessionJobs(jobs, out))
        yield from jobs


class Feed:
    """What comes into a watched folder while jobs run, for :func:`~plugin_bridge.engine.batch.run_plan`."""

    def __init__(self, watched: Watched, told: Callable[[Result], None] = lambda result: None) -> None:
        """``told`` hears of each job that has ended, at once: a queue may take days to drain."""
        self.projects: list[Path] = []
        """Those beside the stems of sessions that are done."""
        self._watched = watched
        self._told = told
        self._next = 0.0

    def __call__(self, ended: Sequence[Result]) -> list[Planned]:
        """Take note of what has ended; returns what is due now, if it is time to look."""
        for result in ended:
            self._told(result)
        if ended:
            self.projects += self._watched.finished(ended)
        begin = time.monotonic()
        if begin < self._next:
            return []
        try:
            return self._watched.due()
        except BridgeError:  # the folder cannot be read now; who looks next says so
            return []
        finally:
            self._next = begin + self._watched.pause


def _sign(path: Path) -> Sign:
    """What changes with a file; zeros for one that is gone by now."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ino)


def _folder_sign(folder: Path, out: Path) -> Hashable:
    """Of all files in a session's folder, but for results."""
    results = out.resolve()
    found = []
    for parent, folders, names in os.walk(folder):
        path = Path(parent)
        folders[:] = [
            name for name in folders if not name.startswith(".") and (path / name).resolve() != results
        ]
        found += [(str(path / name), _sign(path / name)) for name in names if not name.startswith(".")]
    return tuple(sorted(found))


def _owns(job: Job) -> bool:
    """Whether the results that lie at the job's place were made from its input."""
    with suppress(Exception):  # running the job will say it
        for path in job.survey().outputs:
            manifest = Manifest.read(path) if path.suffix == ".json" else None
            if manifest is not None:
                return any(Path(manifest.input.path).resolve() == own.resolve() for own in job.inputs())
    return False
