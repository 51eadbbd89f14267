"""Every error a separator raises on purpose.

SeparatorError
├── ParameterError    a parameter's name, type or range is wrong (also a ValueError)
│   └── ScoreError    the method follows a score, and was given none
├── AudioError        the audio itself cannot be separated: NaN, wrong shape (also a ValueError)
├── ChannelError      too few or too many channels for this method (also a ValueError)
└── ForkError         a network in the fork of a process that has run one (also a RuntimeError)

SeparatorWarning      a result was made, but the method says itself that it may be poor (a UserWarning)

Messages are one line: the offending value, what is allowed, what to do next.
"""

from __future__ import annotations

LONGEST = 3000
"""Characters of an error; what files hold in place of names can be of any length."""


def shortened(text: str) -> str:
    """``text`` without its middle where that is too long to be read.

    >>> len(shortened("x" * 10_000))
    3000
    """
    half = (LONGEST - 5) // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-(LONGEST - 5 - half) :]}"


class SeparatorError(Exception):
    """Base of all errors that :mod:`separators` raises on purpose."""

    def __str__(self) -> str:
        return shortened(super().__str__())


class ParameterError(SeparatorError, ValueError):
    """A parameter's name, type or value is not allowed."""


class ScoreError(ParameterError):
    """The stems are not known before the method has a score."""


class AudioError(SeparatorError, ValueError):
    """The audio given cannot be separated (shape, dtype, NaN or infinity)."""


class ChannelError(AudioError):
    """The method needs another number of channels than the audio has."""


class ForkError(SeparatorError, RuntimeError):
    """A network cannot run in the fork of a process that has run one."""


class SeparatorWarning(UserWarning):
    """The stems keep every promise but one: the method could not find what it looks for."""
