"""What type checkers and editors see of separators; `make lint` runs mypy and pyright over it.

A line with `ignore` must be an error in both: an ignore that is not needed is one itself. Nothing here
is run.
"""

from inspect import Signature, signature
from typing import assert_type

from separators import (
    ICA,
    NMF,
    PIT,
    Cascade,
    DANet,
    DeepClustering,
    ScoreNMF,
    Separator,
    Stems,
    WaveUNet,
    create,
    get,
    parameter,
)
from separators.base import Audio, Transform
from separators.score import Score


class Halves(Separator):
    """What a package of its own declares."""

    name = "halves"
    summary = "halves"
    share: float = parameter(default=0.5, help="The first one's share.", minimum=0, maximum=1)

    def stem_names(self, channels: int) -> tuple[str, ...]:
        return ("one", "other")

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        raise NotImplementedError


def right(mixture: Audio) -> None:
    NMF(mode="drums", drums="kick, snare", iterations=20)
    ICA(model="convolutive", algorithm="ilrma")
    PIT(weights="own.safetensors")
    DANet(speakers=3, seed=1)
    DeepClustering(weights="own.safetensors")
    WaveUNet(stems=2, fast=True)
    Halves(share=1)
    ScoreNMF(score="song.mid", align=True)
    ScoreNMF(score=Score())
    Cascade(WaveUNet(), {"drums": NMF(mode="drums")})
    create("nmf", mode="drums")

    separator = NMF()
    separator.mode = "drums"
    assert_type(separator.stems, int)
    assert_type(separator.replace(seed=1), NMF)
    assert_type(separator.separate(mixture, 44100), Stems)
    assert_type(ScoreNMF().score, Score)
    assert_type(get("nmf"), type[Separator])
    assert_type(signature(PIT), Signature)
    assert_type({separator: 1}, dict[NMF, int])


def names_that_there_are_not() -> None:
    PIT(weigths="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NMF(moed="drums")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DANet(speaker=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Halves(shares=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    separator = NMF()
    separator.moed = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def values_of_another_type() -> None:
    NMF(components="30")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ICA(refine="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ScoreNMF(score=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Cascade(WaveUNet, {})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    separator = NMF()
    separator.stems = "4"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


def parameters_without_their_names() -> None:
    NMF("drums")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Halves(0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
