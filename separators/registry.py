"""All separators by name; a module is imported only when one of its separators is made.

Other packages add theirs through the entry-point group ``stembridge.separators``::

    [project.entry-points."stembridge.separators"]
    my-method = "my_package.my_module:MyMethod"
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from separators.base import Separator
from separators.errors import ParameterError, SeparatorError
from separators.parameters import Value

ENTRY_POINT_GROUP = "stembridge.separators"

BUILT_IN = {
    "nmf": "separators.nmf:NMF",
    "nmf-score": "separators.score.separator:ScoreNMF",
    "ica": "separators.ica:ICA",
    "pit": "separators.neural.pit:PIT",
    "danet": "separators.neural.danet:DANet",
    "deep-clustering": "separators.neural.deep_clustering:DeepClustering",
    "wave-u-net": "separators.neural.wave_u_net:WaveUNet",
    "demucs": "separators.models.demucs:Demucs",
    "open-unmix": "separators.models.open_unmix:OpenUnmix",
    "spleeter": "separators.models.spleeter:Spleeter",
    "onnx": "separators.models.onnx:ONNXModel",
}


@cache
def _locations() -> dict[str, str]:
    """Name -> ``module:class`` of every separator, built-in and registered."""
    found = dict(BUILT_IN)
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


def get(name: str) -> type[Separator]:
    """The class of the separator called ``name``, importing its module only now.

    Raises :class:`ParameterError` for an unknown name, :class:`SeparatorError` if what is
    registered cannot be loaded or is no separator.
    """
    try:
        location = _locations()[name]
    except KeyError:
        raise ParameterError(f"no separator {name!r}; there are: {', '.join(names())}") from None
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
