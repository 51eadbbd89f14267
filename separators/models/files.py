"""Where other people's models are looked for; nothing is ever downloaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from glob import escape
from pathlib import Path

from separators import regular_files
from separators.errors import SeparatorError

VARIABLE = "STEMBRIDGE_MODELS"
"""The environment variable that lists further folders, separated as in PATH."""
GUIDE = "docs/big-models.md says how to get one"


class ModelError(SeparatorError):
    """A model's file or package is missing, damaged, of another kind or not to be trusted."""


def folders() -> list[Path]:
    """The folders that are looked into: this one, the user's, and where other programs keep models."""
    named = [Path(folder) for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    home = Path.home()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    torch_home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    hub = Path(os.environ.get("HF_HOME") or caches / "huggingface") / "hub"
    return [
        Path(),
        *named,
        _data_folder(home) / "stembridge" / "models",
        torch_home / "hub" / "checkpoints",
        *sorted(hub.glob("models--*/snapshots/*")),
    ]


def find(owner: str, given: str, patterns: Sequence[str] = ("{}",), further: Iterable[Path] = ()) -> Path:
    """The file or folder that ``given`` stands for: a path, or a name to be found in :func:`folders`.

    ``patterns`` are globs of the names that ``given`` (in place of ``{}``) may stand for, ``further`` are
    folders to look into last. Raises :class:`ModelError` that says where ``owner`` looked.
    """
    if not given:
        raise ModelError(f"{owner}: no checkpoint is given; set its parameter checkpoint ({GUIDE})")
    path = Path(given).expanduser()
    if path.is_absolute() or len(path.parts) > 1:
        return _usable(path, f"{owner}: there is no ")
    looked = [*folders(), *further]
    for folder in looked:
        for pattern in patterns:
            try:
                found = sorted(folder.glob(pattern.format(escape(given))))
            except (OSError, ValueError):
                raise ModelError(f"{owner}: no file can be called {given!r:.80}") from None
            if found:
                return _usable(found[0], f"{owner}: ")
    listed = ", ".join(str(folder.absolute()) for folder in looked)
    raise ModelError(
        f"{owner}: there is no {given} in {listed}; put the model's file into one of these folders, "
        f"or set checkpoint to its path ({GUIDE})"
    )


def _usable(path: Path, before: str) -> Path:
    """``path`` if it is a folder or a regular file."""
    try:
        if path.is_dir():
            return path
    except OSError:
        pass  # its name is too long, for instance: said below
    check_file(path, before, f"set checkpoint to a model's file ({GUIDE})")
    return path


def check_file(path: Path, before: str, advice: str) -> None:
    """Raise :class:`ModelError` with these words around what is wrong, unless ``path`` is a regular file."""
    try:
        regular_files.check(path)
    except FileNotFoundError:
        raise ModelError(f"{before}{path}; {advice}") from None
    except OSError as error:
        raise ModelError(f"{before}{path}: {error.strerror}; {advice}") from None


def missing_package(owner: str, package: str, extra: str) -> ModelError:
    """The error to raise where ``package`` cannot be imported."""
    return ModelError(f'{owner}: the package {package} is not installed: pip install "stembridge[{extra}]"')


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def reason(error: Exception) -> str:
    """What is wrong with a file, on one line; what only torch says of it means nothing to people."""
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    if isinstance(error, KeyError):
        return f"it holds no {error.args[0]!r:.80}"
    if isinstance(error, ValueError):
        return first_line(error)
    return "it is damaged, or its parts do not fit each other"


def _data_folder(home: Path) -> Path:
    """Where programs keep a user's data."""
    if sys.platform == "darwin":
        return home / "Library/Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData/Local")
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
