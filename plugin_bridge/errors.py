"""Every error the bridge raises on purpose; the command line prints it as one line.

BridgeError
├── AudioFileError       a file cannot be read or written as audio
├── SessionError         a project cannot be read
├── PresetError          a preset file is wrong (also a ValueError)
├── PluginError          a third-party plug-in is missing, crashed, hung or refused a value
└── JobError             a job cannot be done: name collisions, nothing selected, no space
    └── JobsFailedError  some of several jobs failed; holds the results of all

Errors of the algorithms are :mod:`separators.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_bridge.jobs.contract import Results


class BridgeError(Exception):
    """Base of all errors that :mod:`plugin_bridge` raises on purpose."""

    def __str__(self) -> str:
        from separators.errors import shortened  # here, since --help needs no separators

        return shortened(super().__str__())


class AudioFileError(BridgeError):
    """A file cannot be read or written as audio."""


class SessionError(BridgeError):
    """A project file or folder cannot be read."""


class PresetError(BridgeError, ValueError):
    """A preset file holds a wrong key, value or name."""


class PluginError(BridgeError):
    """A third-party plug-in is missing, crashed, hung or refused a value."""


class JobError(BridgeError):
    """A job cannot be done."""


class JobsFailedError(JobError):
    """Some of several jobs failed; the others are done."""

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results
        """How all of them ended."""
