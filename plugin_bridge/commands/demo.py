"""``stembridge demo``: the example session into stems, measured against what is known of it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.commands.running import report, run
from plugin_bridge.errors import SessionError
from plugin_bridge.terminal import say, table

if TYPE_CHECKING:
    from plugin_bridge.jobs.contract import Result
    from plugin_bridge.jobs.job import SeparateJob

_PACKAGE = Path(__file__).parents[1]


def example_session() -> Path:
    """The folder of the example session (in a wheel, or in a checkout)."""
    for folder in (_PACKAGE / "example_session", _PACKAGE.parent / "examples" / "session"):
        if (folder / "demo.toml").is_file():
            return folder
    raise SessionError(f"the example session is missing: there is no {folder}")


@click.command(cls=Command)
@options.out_option
@options.work_options
@options.events_option
def demo(
    out: Path,
    jobs: int,
    cluster: str | None,
    memory: str | None,
    force: bool,
    strict: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Separate the example session with five presets and measure the stems.

    A drum loop, a stereo duo, two microphones that hear each other, an interview on one microphone, and a
    band of which nothing is known. The sources of the others are known, so that the stems can be measured
    against them. A page to listen to them is made, too.
    """
    from plugin_bridge.engine.contract import Workers
    from plugin_bridge.jobs.contract import Results
    from plugin_bridge.jobs.job import Settings
    from plugin_bridge.jobs.listening import page_of
    from plugin_bridge.jobs.plan import preset_text, session_jobs, session_parts
    from plugin_bridge.jobs.progress import reporter
    from plugin_bridge.jobs.stems_project import write_project
    from plugin_bridge.presets.preset import Preset

    folder = example_session()
    rows = tomllib.loads((folder / "demo.toml").read_text(encoding="utf-8"))["job"]
    planned: list[SeparateJob] = []
    known: list[dict[str, str] | list[str]] = []
    for row in rows:
        parts = session_parts(folder, [row["tracks"]], out)
        preset = Preset.load(row["preset"])
        together = row.get("together", preset.together)
        settings = Settings.chosen(preset.output, force=force, strict=strict)
        made = session_jobs(parts, preset_text(preset), settings, together)
        planned += made
        known += [row.get("sources", {})] * len(made)
    done = run(planned, workers=Workers.chosen(jobs, cluster, memory), quiet=quiet, as_json=as_json)
    page = None
    if any(result.tracks for result in done):
        with reporter(quiet) as progress:
            page = page_of(out, progress)
    results = Results(done, write_project(planned, done, out), page=page)
    measured = [
        {"preset": job.preset.name, **stem}
        for job, result, sources in zip(planned, done, known, strict=True)
        for stem in measure(result, sources, folder)
    ]
    status = report(results, out, quiet=quiet, as_json=as_json, measured=measured)
    if measured and not as_json:
        say("", *_table(measured))
    return status


def measure(result: Result, sources: dict[str, str] | list[str], folder: Path) -> list[dict[str, Any]]:
    """Each stem of a result with its SI-SDR in dB and that of the unseparated track, where it is known.

    ``sources`` maps stems, or for tracks separated together tracks, to the files of their sources; a list
    of files belongs to the stems as they fit best.
    """
    from separators.evaluation import si_sdr

    rows = []
    for track in result.tracks:
        audio = {stem: _read(path) for stem, path in track.stems.items()}
        mixture = sum(audio.values())
        if isinstance(sources, list):
            known = _best_fitting([_read(folder / file) for file in sources], audio)
        else:
            known = {stem: _read(folder / file) for stem, file in sources.items() if stem in audio}
        if isinstance(sources, dict) and track.track in sources:
            own = _read(folder / sources[track.track])
            known = {"direct": own, "bleed": mixture - own}
        for stem, estimate in audio.items():
            row: dict[str, Any] = {"track": track.track, "stem": stem, "si_sdr": None, "track_si_sdr": None}
            if stem in known:
                row["si_sdr"] = round(si_sdr(known[stem], estimate), 2)
                row["track_si_sdr"] = round(si_sdr(known[stem], mixture), 2)
            rows.append(row)
    return rows


def _best_fitting(sources: Sequence[Any], stems: dict[str, Any]) -> dict[str, Any]:
    """The stems' names with the sources in the order that gives the best mean SI-SDR."""
    from separators.evaluation import si_sdr

    def total(order: tuple[Any, ...]) -> float:
        return sum(si_sdr(source, stem) for source, stem in zip(order, stems.values(), strict=True))

    orders: list[tuple[Any, ...]] = list(permutations(sources))
    best = max(orders, key=total)
    return dict(zip(stems, best, strict=True))


def _read(path: Path) -> Any:
    from plugin_bridge.audio.files import AudioFileSource

    with AudioFileSource(path) as source:
        return source.read(0, source.frames)


def _table(measured: Sequence[dict[str, Any]]) -> list[str]:
    rows = [
        (row["track"], row["preset"], row["stem"], _decibels(row["si_sdr"]), _decibels(row["track_si_sdr"]))
        for row in measured
    ]
    return table(("track", "preset", "stem", "SI-SDR, dB", "of the track, dB"), rows)


def _decibels(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1f}"
