"""Job files: which inputs, with which presets, where to; checked whole before any work.

.. code-block:: toml

    out = "stems"

    [[job]]
    inputs = ["songs/**/*.flac"]
    preset = "music-4"

    [[job]]
    sessions = ["projects/*/"]
    presets = { "Vox*" = "vocals-denoise-chain", "Drum*" = "drum-kit" }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from plugin_bridge.audio.outputs import OutputFormat
from plugin_bridge.batches.toml_lines import Place, line_of, lines_of
from plugin_bridge.errors import BridgeError, JobError
from plugin_bridge.jobs.job import PresetText, Settings
from plugin_bridge.jobs.plan import preset_text
from plugin_bridge.naming import Template
from plugin_bridge.presets.output import Layout
from plugin_bridge.presets.preset import Preset
from separators import regular_files

MAXIMUM_BYTES = 16_000_000
"""Longest job file that is read: a hundred thousand inputs by name."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _plain(text: str) -> str:
    if "\0" in text:  # the system would take the rest for nothing
        raise ValueError(f"{text!r}: no name holds the character \\0")
    return text


Text = Annotated[str, AfterValidator(_plain)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
"""One text, or a list of them."""


class _Output(BaseModel):
    """What a job and the whole file may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    out: Text | None = Field(None, min_length=1)
    """Folder for the results, relative to the job file; ``stems`` if nobody says one."""
    name: Text | None = None
    """The template of the results' names, as ``--name``."""
    format: OutputFormat | None = None
    bit_depth: Literal[16, 24, "16", "24", "float32"] | None = None
    layout: Layout | None = None


class JobTable(_Output):
    """One ``[[job]]``."""

    inputs: Texts = []
    """Audio files and folders of them, with ``*``, ``?`` and ``**``."""
    sessions: Texts = []
    """DAW projects and folders that are one, with ``*``, ``?`` and ``**``."""
    exclude: Texts = []
    """What is not taken of what ``inputs`` and ``sessions`` find."""
    preset: Text | None = None
    presets: dict[Text, Text] = {}
    """Pattern -> preset, by the names of files or tracks; the first that fits counts."""
    set: dict[str, bool | int | float | str] = {}
    """Parameters of the preset's separator, as ``--set``."""
    stems: Texts | None = None
    tracks: Texts = []
    """Of the sessions, with ``*`` and ``?``; all if there are none."""
    together: bool | None = None
    post_fader: bool = False
    media_roots: Texts = []

    @model_validator(mode="after")
    def _check(self) -> JobTable:
        if bool(self.inputs) == bool(self.sessions):
            raise ValueError("a job needs either inputs or sessions")
        if (self.preset is None) == (not self.presets):
            raise ValueError("a job needs either preset or presets")
        if not self.sessions:
            for key in ("tracks", "media_roots", "post_fader"):
                if getattr(self, key):
                    raise ValueError(f"{key} is for sessions; this job has inputs")
        return self


class _Tables(_Output):
    job: list[JobTable] = Field(min_length=1)


@dataclass(frozen=True)
class JobFile:
    """A job file that was read."""

    path: Path
    folder: Path
    """That its paths begin in."""
    tables: _Tables
    lines: dict[Place, int]
    texts: dict[tuple[int, str], PresetText]
    """By job and preset."""
    settings: dict[tuple[int, str], Settings]

    @classmethod
    def read(cls, path: Path, *, force: bool = False, strict: bool = False) -> JobFile:
        """Read and check the file at ``path``; raises :class:`JobError` with the line of what is wrong."""
        try:
            text = regular_files.read(path, MAXIMUM_BYTES).decode("utf-8-sig")  # Windows' editors mark it
            values = tomllib.loads(text)
        except OSError as error:
            raise JobError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise JobError(f"{path}: line {line}: not UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise JobError(f"{path}: not TOML: {error}") from None
        lines = lines_of(text)
        try:
            tables = _Tables.model_validate(values)
        except ValidationError as error:
            raise JobError(_first_problem(path, error, lines)) from None
        made = cls(path, path.parent, tables, lines, {}, {})
        for number, job in enumerate(tables.job):
            for name, place in made.presets_of(number):
                made._prepare(number, job, name, place, force=force, strict=strict)
        return made

    def presets_of(self, number: int) -> Iterator[tuple[str, Place]]:
        """The presets of a job and where they are named."""
        job = self.tables.job[number]
        if job.preset is not None:
            yield job.preset, ("job", number, "preset")
        for pattern, name in job.presets.items():
            yield name, ("job", number, "presets", pattern)

    def said(self, number: int, key: str) -> Any:
        """What a job says of its output, or else the whole file."""
        own = getattr(self.tables.job[number], key)
        return getattr(self.tables, key) if own is None else own

    def out(self, number: int) -> Path:
        """Where a job's results go."""
        return self.folder / (self.said(number, "out") or "stems")

    def error(self, place: Place, text: str) -> JobError:
        """What is wrong at ``place``."""
        return JobError(_at(self.path, line_of(place, self.lines), text))

    def _prepare(
        self, number: int, job: JobTable, name: str, place: Place, *, force: bool, strict: bool
    ) -> None:
        own = self.folder / name
        try:
            preset = Preset.load(own if name.endswith(".toml") and own.exists() else name)
            text = preset_text(preset)
        except BridgeError as error:
            raise self.error(place, str(error)) from None
        try:
            text = text.with_parameters(**job.set) if job.set else text
        except BridgeError as error:
            raise self.error(("job", number, "set"), str(error)) from None
        try:
            template = self.said(number, "name")
            if template is not None:
                Template(template)
            settings = Settings.chosen(
                text.preset.output,
                format=self.said(number, "format"),
                bit_depth=self.said(number, "bit_depth"),
                layout=self.said(number, "layout"),
                name=template,
                stems=job.stems,
                force=force,
                strict=strict,
            )
        except BridgeError as error:
            raise self.error(("job", number), str(error)) from None
        self.texts[number, name], self.settings[number, name] = text, settings


def _at(path: Path, line: int | None, text: str) -> str:
    return f"{path}: {text}" if line is None else f"{path}: line {line}: {text}"


def _first_problem(path: Path, error: ValidationError, lines: dict[Place, int]) -> str:
    """The first problem in the file with its line, and how many others there are."""
    found = sorted(
        ((line_of(_known(problem["loc"], lines), lines) or 0, problem) for problem in error.errors()),
        key=lambda item: item[0],
    )
    if {problem["type"] for _, problem in found} >= {"missing", "extra_forbidden"}:  # [[jobs]] for [[job]]
        found = [item for item in found if item[1]["type"] != "missing"]
    line, problem = found[0]
    text = _words(problem)
    others = ", ".join(str(number) for number in dict.fromkeys(other for other, _ in found[1:]) if number)
    return _at(path, line or None, text) + (f" (and more in lines {others})" if others else "")


def _known(place: Place, lines: dict[Place, int]) -> Place:
    """``place`` without the names of types that pydantic adds to it."""
    ways = {known[:length] for known in lines for length in range(1, len(known) + 1)}
    kept: Place = ()
    for part in place:
        if (*kept, part) in ways:
            kept = (*kept, part)
    return kept


def _words(problem: Any) -> str:
    where = [str(part) for part in problem["loc"] if not isinstance(part, int)]
    key = where[-1] if where else "the file"
    if problem["type"] == "extra_forbidden":
        model = JobTable if "job" in where[:-1] else _Tables
        near = get_close_matches(key, model.model_fields, 1)
        return f"there is no key {key!r}; " + (
            f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(model.model_fields)}"
        )
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if problem["type"] == "missing" or problem["type"] == "too_short":
        return "there is no [[job]] in it"
    return f"{key}: {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
