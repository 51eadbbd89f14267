"""``stembridge train``: a separator's network on recordings of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from plugin_bridge.commands import options
from plugin_bridge.commands.group import Command
from plugin_bridge.terminal import say

SONGS = ("wave-u-net", "wave-u-net-presence")
NETWORKS = ("pit", "danet", "deep-clustering", "voices-identity", *SONGS)
FILE = click.Path(dir_okay=False, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _source_weights(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, float]:
    weights = {}
    for text in value:
        source, _, weight = text.rpartition("=")
        try:
            weights[source] = float(weight)
        except ValueError:
            weights[source] = -1.0
        if not source or weights[source] < 0:
            raise click.BadParameter(
                f"{text!r} is not SOURCE=WEIGHT with a weight of 0 or more, like libri=2"
            )
    return weights


def _stem_names(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[tuple[str, str]]:
    pairs = [text.rpartition("=")[::2] for text in value]
    for text, (pattern, stem) in zip(value, pairs, strict=True):
        if not pattern or not stem:
            raise click.BadParameter(f"{text!r} is not PATTERN=STEM, like 'Juno*=other'")
    return pairs


@click.command(cls=Command)
@click.argument("name", metavar="NAME", type=click.Choice(NETWORKS))
@click.option(
    "--data",
    type=options.EXISTING_FOLDER,
    required=True,
    help="Recordings: for voices a folder per speaker, for songs a folder or DAW session per song, "
    "or files listed in manifest.csv.",
)
@click.option(
    "--out", "-o", type=FILE, required=True, help="Weights file to write (.safetensors).", metavar="FILE"
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Length of the run.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Length of the run in steps, in place of --minutes."
)
@click.option(
    "--decay",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Last part of the run over which the learning rate falls to zero; 0 for a run to be continued.",
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0),
    default=1e-3,
    show_default=True,
    help="Learning rate before that.",
)
@click.option(
    "--warm-up-steps",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="Steps over which the rate rises at first.",
)
@click.option(
    "--start", type=EXISTING_FILE, help="Weights to begin with; other separators' lend their backbone."
)
@click.option("--checkpoint", type=EXISTING_FILE, help="checkpoint.pt of another run to begin with.")
@click.option("--work", type=options.FOLDER, help="Folder for checkpoints. [default: FILE.training]")
@click.option("--cache", type=options.FOLDER, help="Folder for decoded audio. [default: that of --work]")
@click.option(
    "--source-weight",
    "source_weights",
    multiple=True,
    metavar="SOURCE=WEIGHT",
    callback=_source_weights,
    help="How much more often a source (a column of manifest.csv) is heard; may be repeated.",
)
@click.option(
    "--stem",
    "stem_names",
    multiple=True,
    metavar="PATTERN=STEM",
    callback=_stem_names,
    help="Songs: tracks whose name fits PATTERN, with * and ?, are vocals, drums, bass, other, rest, "
    "accompaniment, or left out (none); may be repeated. Other names speak for themselves.",
)
@options.media_root_option
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Stop after so many validations without gain; 0 never does.",
)
@click.option(
    "--validate-minutes",
    type=click.FloatRange(min=0),
    default=8.0,
    show_default=True,
    help="Time between validations.",
)
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    help="Time between checkpoints: what a kill costs at most.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that train together on the CPU, each on a core.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N|mps",
    help="Where to train: auto is the first GPU that works, else the CPU.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 4096),
    help="Mixtures in a step; a GPU has room for more. [default: 2 of voices, 4 of songs]",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    help="Processes that mix batches ahead of time. [default: 0 on the CPU, for a GPU the cores but one, at "
    "most 8]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers.")
@options.quiet_option
def train(
    name: str,
    data: Path,
    out: Path,
    minutes: float,
    steps: int | None,
    start: Path | None,
    checkpoint: Path | None,
    work: Path | None,
    cache: Path | None,
    source_weights: dict[str, float],
    batch: int | None,
    stem_names: list[tuple[str, str]],
    media_roots: tuple[Path, ...],
    processes: int,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Train a separator's network on your own recordings and write its weights.

    Voices (pit, danet, deep-clustering) need at least two speakers, songs (wave-u-net) at least two
    stems. Use the result with the separator's parameter `weights`. voices-identity learns from voices who
    talks, wave-u-net-presence from songs when vocals and drums are silent. A run may be stopped or
    killed at any time: the same command goes on from its last checkpoint, also on another device.
    """
    if name not in SONGS and (stem_names or media_roots):
        raise click.UsageError(f"--stem and --media-root are for the songs of {SONGS[0]}, not for {name}")
    # Spinning threads would take the processor from everything else; must be set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    from plugin_bridge.jobs.progress import Event, reporter
    from plugin_bridge.learning.multitracks import song_corpus
    from separators.training import recipes
    from separators.training.trainer import Settings

    length = {"minutes": minutes} if steps is None else {"steps": steps}
    work = work or out.with_name(out.name + ".training")
    if name in SONGS:
        with reporter(quiet) as progress:
            data = song_corpus(data, cache or work, stem_names, media_roots, progress)
    with reporter(quiet) as progress:

        def step(fraction: float, detail: str) -> None:
            progress.update(Event(name, "training", fraction, detail))

        try:
            scores = recipes.train(
                name,
                data,
                out,
                settings=Settings(**length, **chosen),
                start=start,
                checkpoint=checkpoint,
                work=work,
                cache=cache,
                batch=batch,
                processes=processes,
                source_weights=source_weights,
                report=progress.say,
                progress=step,
            )
        except KeyboardInterrupt:
            if (work / "checkpoint.pt").is_file():
                progress.say("stopped; the same command goes on from the checkpoint")
            raise
    if not quiet:
        say(f"validation score {scores['score']:.2f}; the weights are {out}")
