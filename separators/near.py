"""The near miss in an error message."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A hint if one of the ``known`` names is near to ``wrong``, else nothing.

    >>> did_you_mean("compresor", ["Compressor", "Gain"]), did_you_mean("x", ["Gain"])
    (" (did you mean 'Compressor'?)", '')
    """
    names = {name.lower(): name for name in known}
    matches = get_close_matches(wrong.lower(), list(names), n=1)
    return f" (did you mean {names[matches[0]]!r}?)" if matches else ""
