"""All separators by name; a module is imported only when one of its separators is made.

Those of this package are rows of :data:`BUILT_IN`, so that they can be listed without importing them.

Other packages add theirs through the entry-point group ``stembridge.separators``::

    [project.entry-points."stembridge.separators"]
    my-method = "my_package.my_module:MyMethod"
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from separators.errors import ParameterError, SeparatorError
from separators.near import did_you_mean

if TYPE_CHECKING:
    from separators.base import Separator
    from separators.parameters import Value

ENTRY_POINT_GROUP = "stembridge.separators"


class BuiltIn(NamedTuple):
    """A separator of this package."""

    location: str
    """``module:class``."""
    summary: str
    """One line: what it separates."""


BUILT_IN = {
    "nmf": BuiltIn(
        "separators.nmf:NMF",
        "splits by recurring sounds: drum loops into their drums, anything into similar sounds",
    ),
    "nmf-score": BuiltIn(
        "separators.score.separator:ScoreNMF",
        "splits by a score: one stem per MIDI track, channel or choice of notes",
    ),
    "ica": BuiltIn(
        "separators.ica:ICA",
        "un-mixes two or more channels into as many sources: stereo un-panning, microphone bleed",
    ),
    "pit": BuiltIn(
        "separators.neural.pit:PIT",
        "two voices on one microphone, by a network with one output per voice",
    ),
    "danet": BuiltIn(
        "separators.neural.danet:DANet",
        "two or three voices on one microphone, by attractors in an embedding of the spectrogram",
    ),
    "deep-clustering": BuiltIn(
        "separators.neural.deep_clustering:DeepClustering",
        "two or three voices on one microphone, by clustering an embedding of the spectrogram",
    ),
    "wave-u-net": BuiltIn(
        "separators.neural.wave_u_net:WaveUNet",
        "songs: vocals, drums, bass and other, or vocals and accompaniment, by a trained network",
    ),
    "song": BuiltIn(
        "separators.models.song:Song",
        "songs: vocals and accompaniment, or four stems, by the best model on this machine",
    ),
    "demucs": BuiltIn(
        "separators.models.demucs:Demucs",
        "songs: the stems that a Demucs checkpoint of your own names (HTDemucs and its family)",
    ),
    "open-unmix": BuiltIn(
        "separators.models.open_unmix:OpenUnmix",
        "songs: the stems of Open-Unmix state files of your own, one file for each",
    ),
    "spleeter": BuiltIn(
        "separators.models.spleeter:Spleeter",
        "songs: vocals and accompaniment, by Spleeter's pretrained networks",
    ),
    "onnx": BuiltIn(
        "separators.models.onnx:ONNXModel",
        "whatever an ONNX model of your own separates, described by a small TOML file",
    ),
}


@cache
def _locations() -> dict[str, str]:
    """Name -> ``module:class`` of every separator, built-in and registered."""
    found = {name: row.location for name, row in BUILT_IN.items()}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise SeparatorError(
                f"two separators are called {point.name!r}: {found[point.name]} and {point.value}; "
                "uninstall one of the packages"
            )
    return found


def names() -> list[str]:
    """The names of all separators, sorted."""
    return sorted(_locations())


def summary(name: str) -> str:
    """One line: what the separator called ``name`` separates; raises what :func:`get` does.

    Only those of other packages are imported for it.
    """
    if name in BUILT_IN:
        return BUILT_IN[name].summary
    return get(name).summary


def get(name: str) -> type[Separator]:
    """The class of the separator called ``name``, importing its module only now.

    Raises :class:`ParameterError` for an unknown name, :class:`SeparatorError` if what is
    registered cannot be loaded or is no separator.
    """
    try:
        location = _locations()[name]
    except KeyError:
        near = did_you_mean(name, names())
        raise ParameterError(f"no separator {name!r}{near}; there are: {', '.join(names())}") from None
    from separators.base import Separator

    module, _, attribute = location.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SeparatorError(f"{location}, registered as {name!r}, cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Separator)):
        raise SeparatorError(f"{location} is registered as {name!r} but is not a Separator")
    return found


def create(name: str, **parameters: Value) -> Separator:
    """Make the separator called ``name`` with ``parameters``.

    >>> create("nmf", components=8)
    NMF(components=8)
    """
    return get(name)(**parameters)
