"""Writes the model cards of the voice separators from their weights files and benchmark results.

    python benchmarks/voices.py --data SPEECH_FOLDER --json results.json
    python benchmarks/voices_cards.py --results results.json --commands commands.json --speed speed.json

No figure is typed by hand. ``commands.json`` holds, per separator, the list of commands that
made its weights; ``speed.json`` is what ``voices.py --speed --json`` wrote.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from safetensors import safe_open

FOLDER = Path(__file__).resolve().parents[1] / "separators" / "neural" / "weights"
METHODS = {
    "pit": (
        "PIT",
        "Complex masks, one output per voice, trained for the SI-SDR of the best permutation of each "
        "utterance (Yu et al. 2017; Kolbaek et al. 2017; Luo and Mesgarani 2019 for the loss).",
    ),
    "danet": (
        "DANet",
        "Deep attractor network (Chen, Luo, Mesgarani 2017): an embedding of every time-frequency band, "
        "masks from its products with the voices' attractors; ideal ones in training, k-means in use.",
    ),
    "deep-clustering": (
        "Deep Clustering",
        "An embedding of every time-frequency band (Hershey et al. 2016), trained by the affinity loss and "
        "end to end (Isik et al. 2016): by the SI-SDR of soft masks from the centroids of k-means.",
    ),
}
DATA = [
    {
        "name": "LibriSpeech train-clean-100, 200 speakers, 57 minutes, English",
        "licence": "CC BY 4.0",
        "attribution": "LibriSpeech (c) 2014 Vassil Panayotov, https://www.openslr.org/12",
    },
    {
        "name": "LibriVox readings, 2 speakers, 17 minutes, English",
        "licence": "recordings in the public domain, compilation MIT",
        "attribution": "80 Excerpts (c) 2025 speakingofdata",
    },
    {
        "name": "Common Voice 6.1, 1279 speakers, 177 minutes, 59 languages",
        "licence": "CC0 1.0",
        "attribution": "Mozilla Common Voice, https://commonvoice.mozilla.org",
    },
    {
        "name": "Common Voice 13 (English), 156 speakers, 56 minutes",
        "licence": "CC0 1.0",
        "attribution": "Mozilla Common Voice, https://commonvoice.mozilla.org",
    },
    {
        "name": "Music behind the voices, since the last stages: The Battle for Wesnoth 1.16, 118 minutes",
        "licence": "GPL-2.0-or-later",
        "attribution": "David White and the Wesnoth contributors; Debian package wesnoth-1.16-music",
    },
    {
        "name": "Music behind the voices: Hedgewars 1.0.2, 80 minutes",
        "licence": "GPL-2.0",
        "attribution": "the Hedgewars project; Debian package hedgewars-data",
    },
    {
        "name": "Music behind the voices: SuperTuxKart 1.4, 67 minutes",
        "licence": "GPL-3.0-or-later, as Debian states it for the package's files",
        "attribution": "the SuperTuxKart team; Debian package supertuxkart-data",
    },
    {
        "name": "Music behind the voices: FreedroidRPG 1.0, 29 minutes",
        "licence": "GPL-2.0-or-later",
        "attribution": "the FreedroidRPG developers; Debian package freedroidrpg-data",
    },
]
SECONDS_A_BATCH = 24
"""Of each process where a run does not say: first 6 mixtures of 4 s, later 4 of 6 s, then 2 of 12 s."""
LIMITS = [
    "Pairs of one sex: the outputs often swap voices; see the column and the share below 1 dB.",
    "Music as loud as the voices costs several dB; songs with singing were never heard behind them.",
    "Three voices are harder than two; conversations of similar voices swap (docs/voices.md).",
    "Nearly all adult voices, close to the microphone; children and far microphones are untested.",
]


def card(name: str, results: list[dict], speed: dict, commands: list[str]) -> dict:
    """Everything there is to say about the weights of a separator, as plain values."""
    path = FOLDER / f"{name}.safetensors"
    with safe_open(path, "np") as file:
        metadata = file.metadata()
        size = sum(file.get_tensor(key).size for key in file.keys())  # noqa: SIM118
    title, method = METHODS[name]
    return {
        "name": name,
        "title": title,
        "method": method,
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "numbers": size,
        "sample_rate_hz": 16_000,
        "architecture": json.loads(metadata["architecture"]),
        "training": json.loads(metadata["notes"]) | {"commands": commands},
        "data": DATA,
        "licence": "GPL-3.0-or-later, as the package; the data's licences ask for the attributions above",
        "results": [
            row for row in results if row["method"] in (name, "ideal ratio mask", "ideal binary mask")
        ],
        "speed": speed[name],
        "limits": LIMITS,
    }


def batch_seconds(run: dict) -> float:
    """Seconds of mixtures in a batch of one process."""
    return run.get("batch_seconds", SECONDS_A_BATCH)


def table(rows: list[dict]) -> list[str]:
    lines = [
        "| mixtures | rate | method | SI-SDRi | same sex | different sex | SDRi | below 1 dB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        sdr = f"{row['sdr_i_db']:.1f}" if "sdr_i_db" in row else "-"
        lines.append(
            f"| {row['set']} | {row['rate'] // 1000} kHz | {row['method']} | {row['si_sdr_i_db']:.1f} dB | "
            f"{row['same_sex_db']:.1f} | {row['different_sex_db']:.1f} | {sdr} | {row['poor_share']:.0%} |"
        )
    return lines


def page(card: dict) -> str:
    """The card as Markdown."""
    training = card["training"]
    shape = card["architecture"]
    data = [f"- {row['name']}: {row['licence']}. {row['attribution']}." for row in card["data"]]
    floor = next(row["floor_db"] for row in card["results"] if row["set"] == "test-2")
    lines = [
        f"# {card['title']}: `{card['file']}`",
        "",
        card["method"],
        "",
        f"A dense dilated convolution network with attention, of {card['numbers'] / 1e6:.2f} million numbers "
        f"({'two passes of ' if shape.get('passes') == 2 else ''}{shape['channels']} channels, "
        f"{len(shape['dilations'])} blocks) at 16 kHz, stored in half "
        f"precision ({card['bytes'] / 1e6:.1f} MB). SHA-256 `{card['sha256']}`.",
        "",
        "## Training data",
        "",
        *data,
        "",
        "## Training",
        "",
        "Hours are wall-clock time on two processor cores that were shared with other work.",
        "",
        "| stage | steps | seconds of mixtures a step | hours | validation |",
        "|---|---|---|---|---|",
        *(
            f"| {run['separator']} | {run['steps']} | {batch_seconds(run) * run['processes']:g} | "
            f"{run['hours']:.2f} | {run['validation_score']:.2f} dB |"
            for run in training["history"]
        ),
        "",
        "The network is still learning: more hours give better weights. The commands, in order:",
        "",
        *(f"    {command}" for command in training["commands"]),
        "",
        "## Figures",
        "",
        "From `benchmarks/voices.py`: fixed mixtures of 5 s, fully overlapped, levels within 5 dB, every "
        "speaker weighted the same. `test` speakers were never heard, `train` speakers were. The "
        f"mixture itself has {floor:.1f} dB SI-SDR (the floor: an improvement of 0); the ideal masks are "
        "ceilings that know the sources. SI-SDRi and SDRi (BSS Eval) are improvements in dB.",
        "",
        *table(card["results"]),
        "",
        "Conversations, one voice alone and music behind voices: `benchmarks/results/voices.md`.",
        "",
        f"Speed on one core: {1 / card['speed']['real_time_factor']:.0f} times real time (an interview in "
        "stereo at 44.1 kHz, every phrase put on the stem of who says it); peak memory "
        f"{card['speed']['peak_mb']:.0f} MB, all of Python and torch included.",
        "",
        "## What it is bad at",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, nargs="+", required=True)
    for option in ("--commands", "--speed"):
        parser.add_argument(option, type=Path, required=True)
    given = parser.parse_args()
    results = [row for path in given.results for row in json.loads(path.read_text())]
    commands, speed = (json.loads(path.read_text()) for path in (given.commands, given.speed))
    for name in METHODS:
        made = card(name, results, speed, commands[name])
        (FOLDER / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")
        (FOLDER / f"{name}.md").write_text(page(made))


if __name__ == "__main__":
    main()
