"""One job: one track or file (or several, together) with one preset, and where its results go.

Jobs are small descriptions that travel to workers; :mod:`plugin_bridge.jobs.separation` does them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from plugin_bridge.audio.outputs import BIT_DEPTHS, bytes_per_sample, has_full_scale
from plugin_bridge.audio.stem_mp4 import STEMS
from plugin_bridge.audio.stem_mp4 import SUFFIX as STEM_MP4
from plugin_bridge.errors import JobError, PresetError
from plugin_bridge.jobs.contract import Result, Survey
from plugin_bridge.jobs.for_stem_mp4 import for_stem_mp4
from plugin_bridge.jobs.inputs import Input, Opened
from plugin_bridge.jobs.progress import Report
from plugin_bridge.jobs.stem_files import MULTICHANNEL, REMIX, FileFormat
from plugin_bridge.jobs.together import BLEED, DIRECT
from plugin_bridge.naming import DEFAULT_TEMPLATE, Template, path_beside, safe_name
from plugin_bridge.presets.output import Output
from plugin_bridge.presets.preset import Preset
from plugin_bridge.presets.separating import SeparatorTable
from plugin_bridge.presets.unseparated import PROCESSED
from plugin_bridge.rendering.processing import BrokenPluginError
from plugin_bridge.report.pictures import FACTORS, SPECTROGRAMS, require_matplotlib
from separators import registry
from separators.base import Separator
from separators.errors import SeparatorError
from separators.parameters import Value


@dataclass(frozen=True)
class Settings:
    """How results are written: the preset's ``[output]`` and what the command line says against it."""

    format: str = "wav"
    bit_depth: str | None = None
    """None: the input's or better, 24 bits for integers, if they can hold the stems, float32 for the rest."""
    layout: str = "files"
    template: str = DEFAULT_TEMPLATE
    stems: tuple[str, ...] | None = None
    """The stems to write; None: all."""
    force: bool = False
    """Do again what is done already."""
    strict: bool = False
    """Fail where something cannot be honoured or a method warns."""
    plots: bool = False
    """Draw pictures of what was done beside the stems."""
    plugin_paths: tuple[Path, ...] = ()

    @classmethod
    def chosen(
        cls,
        output: Output,
        *,
        format: str | None = None,
        bit_depth: str | int | None = None,
        layout: str | None = None,
        name: str | None = None,
        stems: Sequence[str] | None = None,
        plots: bool = False,
        plugin_paths: Sequence[str | os.PathLike[str]] = (),
        force: bool = False,
        strict: bool = False,
    ) -> Settings:
        """What is said here, over what the preset's ``output`` says, over the defaults.

        Raises :class:`PresetError` for what cannot be, :class:`JobError` if there is no matplotlib for plots.
        """
        if plots:
            require_matplotlib()
        output = output.changed(format=format, bit_depth=bit_depth, layout=layout, name=name, stems=stems)
        return cls(
            format=output.codec,
            bit_depth=None if output.bit_depth is None else str(output.bit_depth),
            layout=output.layout,
            template=output.name,
            stems=None if output.stems is None else tuple(output.stems),
            force=force,
            strict=strict,
            plots=plots,
            plugin_paths=tuple(map(Path, plugin_paths)),
        )

    @property
    def asks_for_depth(self) -> bool:
        """Whether somebody wants this bit depth and no better one."""
        return self.bit_depth is not None

    def depth_for(self, depths: Sequence[str]) -> str:
        """The bit depth to write for inputs that need ``depths``."""
        if self.bit_depth is not None:
            return self.bit_depth
        needed = max(depths, key=BIT_DEPTHS.__getitem__)
        return "float32" if needed == "float32" and self.format not in ("flac", "alac") else "24"

    @property
    def suffix(self) -> str:
        """Of the files."""
        return STEM_MP4 if self.layout == STEM_MP4 else self.format


def refuse_if_strict(settings: Settings, lines: Sequence[str]) -> None:
    """Raise :class:`JobError` for the first of ``lines`` if ``settings`` are strict."""
    if lines and settings.strict:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise JobError(f"{lines[0]}{more}; --strict refuses this")


@dataclass(frozen=True)
class Part:
    """One track of a job and where its results go."""

    input: Input
    folder: Path
    """The output folder that the name template continues."""
    track: str
    index: int = 1
    parent: str = ""


@dataclass(frozen=True)
class PresetText:
    """A preset as it travels to a worker."""

    name: str
    text: str
    source: str
    """The file, for error messages."""

    @cached_property
    def preset(self) -> Preset:
        """The preset; raises :class:`~plugin_bridge.errors.PresetError`."""
        return Preset.parse(self.text, self.source)

    def with_parameters(self, **values: Value) -> PresetText:
        """The preset with each of these parameters in those of its separators that have it.

        Raises PresetError for wrong values, and for a parameter that none of them has.
        """
        preset = self.preset
        if preset.separator is None:
            raise PresetError(
                f"{self.source}: it separates nothing, so that there is no {', '.join(values)} to set"
            )
        names = [table.name for table in preset.separator_tables]
        known = {key for name in names for key in registry.get(name).parameters}
        nobodys = values.keys() - known  # the first one refuses them

        def changed(table: SeparatorTable, further: Set[str] = frozenset()) -> SeparatorTable:
            own = registry.get(table.name).parameters.keys() | further
            said = {key: value for key, value in values.items() if key in own}
            return SeparatorTable(**{**table.model_dump(), **said})

        tables = {stem: changed(table) for stem, table in preset.separate.items()}
        update = {"separator": changed(preset.separator, nobodys), "separate": tables}
        made = preset.model_copy(update=update)
        made.check()
        return replace(self, text=made.dump())

    def with_tail(self, tail_seconds: float | str) -> PresetText:
        """The preset with this tail; raises :class:`~plugin_bridge.errors.PresetError`."""
        return replace(self, text=self.preset.with_tail(tail_seconds).dump())

    @property
    def deciding(self) -> str:
        """The preset as text, without what its stems do not depend on: the device, words for people."""

        def kept(table: SeparatorTable) -> SeparatorTable:
            rows = registry.get(table.name).parameters
            said = {key: value for key, value in table.parameters.items() if rows[key].decides}
            return SeparatorTable(name=table.name, **said)

        preset = self.preset
        tables = {stem: kept(table) for stem, table in preset.separate.items()}
        first = preset.separator and kept(preset.separator)
        silent = dict.fromkeys(("title", "description", "purpose", "task", "caution"), "")
        return preset.model_copy(
            update={**silent, "gives": [], "separator": first, "separate": tables}
        ).dump()

    def on_device(self, device: str) -> PresetText:
        """The preset with its networks on ``device``.

        Raises PresetError where there is no such device, or no network that could use it.
        """
        methods = [registry.get(name) for name in self.preset.methods]
        networks = [kind for kind in methods if "device" in kind.parameters]
        if not networks:
            if device in ("auto", "cpu"):
                return self
            raise PresetError(
                f"device {device}: the preset {self.name} has no network, which alone could use another than "
                "cpu; leave it out, or take auto"
            )
        text = self.with_parameters(device=device)
        try:
            for kind in networks:
                kind(device=device).find_device()
        except SeparatorError as error:
            raise PresetError(str(error)) from None
        return text


@dataclass(frozen=True)
class SeparateJob:
    """One track with one preset; several parts are the channels of one mixture."""

    label: str
    parts: tuple[Part, ...]
    preset: PresetText
    settings: Settings
    together: bool = False

    def run(self, report: Report) -> Result:
        """Make the stems and the manifests, unless they are there and made from the same."""
        from plugin_bridge.jobs.separation import separate

        try:
            return separate(self, report)
        except BrokenPluginError as error:
            parts = tuple(replace(part, input=part.input.without(error)) for part in self.parts)
            return replace(self, parts=parts).run(report)

    @property
    def resources(self) -> dict[str, float]:
        """What a cluster's worker must have: a GPU if the preset asks for one by name."""
        preset = self.preset.preset
        tables = [preset.separator, *preset.separate.values()]
        devices = [str((table.model_extra or {}).get("device", "")) for table in tables if table]
        return {"GPU": 1.0} if any(device.startswith("cuda") for device in devices) else {}

    def inputs(self) -> list[Path]:
        """The files that are read."""
        return [part.input.path for part in self.parts]

    def outputs(self) -> list[Path]:
        """The files that :meth:`run` will write, manifests included; opens the inputs to know."""
        return self.survey().outputs

    def survey(self) -> Survey:
        """What will come of it."""
        paths: list[Path] = []
        seconds, size, temporary = 0.0, 0, 0
        for part in self.parts:
            with part.input.open() as found:
                track = self.suited(found)
                separator = self.separator(track)
                stems = self.written_stems(separator, track)
                names = self.files_of(stems)
                form, source = self.form([track], track), track.source
                waits = track.rendered or bool(self.preset.preset.before)
            paths += [self.path(part, separator, name) for name in names]
            paths += [self.picture(part, separator, name) for name in self.pictures(separator)]
            paths.append(self.manifest(part, separator))
            written = 1 if self.preset.preset.remix else len(stems)
            samples = source.frames * source.channels
            seconds = max(seconds, source.frames / source.sample_rate)
            sounds = 1 + STEMS if form.layout == STEM_MP4 else written
            size += round(samples * sounds * bytes_per_sample(form.format, form.bit_depth))
            raw = written * has_full_scale(form.format, form.bit_depth) + waits
            temporary += 4 * samples * raw
        return Survey(paths, seconds, size, temporary)

    def suited(self, opened: Opened) -> Opened:
        """``opened`` as the files can hold it: converted, where these are for DJ programs."""
        return for_stem_mp4(opened) if self._layout == STEM_MP4 else opened

    def separator(self, track: Opened) -> Separator:
        """The preset's separator; if it follows a score and has none, with that of ``track``."""
        return self.preset.preset.make_separator().with_score(track.score)

    def stems(self, separator: Separator, track: Opened) -> tuple[str, ...]:
        """All stems that a track has, in the order of the separator's output."""
        names = (DIRECT, BLEED) if self.together else separator.stem_names(track.source.channels)
        for name in self.preset.preset.stems:
            if name not in names:
                raise PresetError(
                    f"{self.preset.source}: stems.{name}: there is no such stem here; "
                    f"there are: {', '.join(names)}"
                )
        return names

    def written_stems(self, separator: Separator, track: Opened) -> list[str]:
        """Those of them that are to be written."""
        names, wanted = self.stems(separator, track), self.settings.stems
        if wanted is None:
            return list(names)
        if self.preset.preset.is_chain:
            raise JobError(f"preset {self.preset.name} separates nothing, so that no stems can be chosen")
        if self.preset.preset.remix:
            raise JobError(f"preset {self.preset.name} sums its stems into one, so that none can be chosen")
        for name in wanted:
            if name not in names:
                raise JobError(f"no stem {name!r}; there are: {', '.join(names)}")
        return [name for name in names if name in wanted]

    def files_of(self, stems: Sequence[str]) -> Sequence[str]:
        """The names that go into the template's ``{stem}``."""
        if self.preset.preset.remix:
            return [REMIX]
        return stems if self._layout == "files" else [MULTICHANNEL]

    def path(self, part: Part, separator: Separator, name: str) -> Path:
        """Where a file of ``part`` goes."""
        if name == self._whole or self._layout == STEM_MP4:  # it is the track again, and called like it
            name = safe_name(part.track)
        path = Template(self.settings.template).path(**self._fields(part, separator), stem=name)
        return part.folder / path.with_name(f"{path.name}.{self.settings.suffix}")

    def manifest(self, part: Part, separator: Separator) -> Path:
        """Where the manifest of ``part`` goes."""
        return self._beside(part, separator, "manifest", "json")

    def pictures(self, separator: Separator) -> Sequence[str]:
        """What is drawn of each part."""
        if not self.settings.plots:
            return []
        return [SPECTROGRAMS, FACTORS] if separator.shows_factors and not self.together else [SPECTROGRAMS]

    def picture(self, part: Part, separator: Separator, name: str) -> Path:
        """Where a picture of ``part`` goes."""
        return self._beside(part, separator, name, "png")

    def _beside(self, part: Part, separator: Separator, name: str, suffix: str) -> Path:
        template = Template(self.settings.template)
        return part.folder / path_beside(template, name, suffix, **self._fields(part, separator))

    def form(self, tracks: Sequence[Opened], track: Opened) -> FileFormat:
        """How the files of ``track``, one of ``tracks``, are written."""
        if self._whole and self.settings.layout == STEM_MP4:
            raise JobError(f"preset {self.preset.name} gives one file and no stems; {STEM_MP4} needs several")
        return FileFormat(
            format=self.settings.format,
            # One for all, since they may have to share a gain.
            bit_depth=self.settings.depth_for([other.bit_depth for other in tracks]),
            sample_rate=track.source.sample_rate,
            layout=self._layout,
            time_reference=track.time_reference,
            tags=track.tags,
            channel_mask=track.channel_mask,
            cover_of=track.path if self._layout == STEM_MP4 else None,
        )

    @property
    def _whole(self) -> str:
        """What the one result of a preset is called that gives no stems; empty for others."""
        if self.preset.preset.is_chain:
            return PROCESSED
        return REMIX if self.preset.preset.remix else ""

    @property
    def _layout(self) -> str:
        return "files" if self._whole else self.settings.layout

    def _fields(self, part: Part, separator: Separator) -> dict[str, str | int]:
        return {
            "track": part.track,
            "index": part.index,
            "parent": part.parent,
            "preset": self.preset.name,
            "separator": separator.name,
        }
