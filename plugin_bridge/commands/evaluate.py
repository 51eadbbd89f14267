"""``stembridge evaluate``: how close stems come to known sources."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import FAILED, Command
from plugin_bridge.errors import JobError
from plugin_bridge.terminal import say, say_json, table

if TYPE_CHECKING:
    from separators.streaming import AudioSource

HEADER = ("stem", "estimate", "SI-SDR", "better by", "SDR", "floor", "ceiling")
FIGURES = ("si_sdr", "improvement", "sdr", "floor", "ceiling")


@click.command(cls=Command)
@click.option(
    "--references", type=options.EXISTING_FOLDER, required=True, help="Folder with the known sources."
)
@click.option("--estimates", type=options.EXISTING_FOLDER, required=True, help="Folder with the stems.")
@click.option("--bss-eval", is_flag=True, help="Measure BSS Eval's SDR, too (slow; needs the extra `bench`).")
@options.json_option
def evaluate(references: Path, estimates: Path, bss_eval: bool, as_json: bool) -> int:
    """Measure stems against known sources, in dB.

    Files of the same name belong together; if other names are left, those are paired that fit best.
    Where the references lie in subfolders, one for each mixture, so must the estimates.
    """
    from plugin_bridge.jobs.contract import describe

    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for mixture in _mixtures(references):
        try:
            results[mixture] = _measure(references / mixture, estimates / mixture, bss_eval)
        except Exception as error:  # the other mixtures are still measured
            failures[mixture] = describe(error)
    if as_json:
        mixtures = {mixture: report.as_dict() for mixture, report in results.items()}
        say_json({"mixtures": mixtures, "failed": failures})
    else:
        for mixture, report in results.items():
            say(f"{references / mixture}, all figures in dB:", *_table(report), "")
    for mixture, text in failures.items():
        say(f"failed: {references / mixture}: {text}", err=True)
    return FAILED if failures else 0


def _mixtures(references: Path) -> list[str]:
    """The folders with references, relative to ``references``; ``.`` for itself."""
    from plugin_bridge.audio.files import find_audio_files

    folders = sorted({file.parent for file in find_audio_files(references)})
    if not folders:
        raise JobError(f"{references}: there is no audio file in this folder")
    return [folder.relative_to(references).as_posix() for folder in folders]


def _measure(references: Path, estimates: Path, bss_eval: bool) -> Any:
    from separators.evaluation import evaluate_sources

    with ExitStack() as opened:
        return evaluate_sources(_sources(opened, references), _sources(opened, estimates), bss_eval)


def _sources(opened: ExitStack, folder: Path) -> dict[str, AudioSource]:
    from plugin_bridge.audio.files import AudioFileSource, find_audio_files

    files = find_audio_files(folder, recursive=False)
    sources: dict[str, AudioSource] = {}
    for file in files:
        if file.stem in sources:
            raise JobError(f"{folder}: two files are called {file.stem}; keep one of them")
        sources[file.stem] = opened.enter_context(AudioFileSource(file))
    return sources


def _table(report: Any) -> list[str]:
    header, figures = list(HEADER), list(FIGURES)
    if any(stem.bss_eval_sdr is not None for stem in report.stems):
        header, figures = [*header, "BSS Eval SDR"], [*figures, "bss_eval_sdr"]
    rows = [
        (stem.reference, stem.estimate, *(_decibels(getattr(stem, figure)) for figure in figures))
        for stem in report.stems
    ]
    rows.append(("mean", "", *(_decibels(report.mean[figure]) for figure in figures)))
    return [*table(header, rows), f"sum of the stems against the mixture: {report.sum_error_db:.1f} dB"]


def _decibels(value: float | None) -> str:
    return "silent" if value is None else f"{value:.1f}"
