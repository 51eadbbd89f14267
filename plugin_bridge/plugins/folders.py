"""Where third-party plug-ins are installed, and how one is found by its name.

A plug-in is named, never given by a path, so that a preset or a session cannot make Stembridge
load a file of its own: only the system's folders and those that the user gives are looked into.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from plugin_bridge.errors import PluginError
from separators import regular_files
from separators.near import did_you_mean

MOST_INFO_BYTES = 1 << 20
SUFFIXES = (".vst3", ".component")


def system_folders() -> list[Path]:
    """The folders into which VST3 plug-ins (and on macOS Audio Units) are installed."""
    home = Path.home()
    if sys.platform == "darwin":
        roots = [home / "Library/Audio/Plug-Ins", Path("/Library/Audio/Plug-Ins")]
        return [root / kind for root in roots for kind in ("VST3", "Components")]
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home / "AppData/Local"))
        common = os.environ.get("COMMONPROGRAMFILES", "C:/Program Files/Common Files")
        return [Path(local) / "Programs/Common/VST3", Path(common) / "VST3"]
    return [home / ".vst3", Path("/usr/local/lib/vst3"), Path("/usr/lib/vst3")]


def installed(plugin_paths: Sequence[Path | str] = ()) -> dict[str, Path]:
    """Name -> file of every plug-in; those in ``plugin_paths`` come before the system's."""
    found: dict[str, Path] = {}
    for folder in [*map(Path, plugin_paths), *system_folders()]:
        for path in plugins_in(folder):
            found.setdefault(path.stem, path)
    return found


def find_plugin(name: str, plugin_paths: Sequence[Path | str] = ()) -> Path:
    """The file of the plug-in called ``name``; raises :class:`PluginError` if it is not installed.

    ``plugin_paths`` are folders of the user's, looked into before the system's.
    """
    found = installed(plugin_paths)
    if name in found:
        return found[name]
    folders = ", ".join(str(folder) for folder in [*plugin_paths, *system_folders()])
    raise PluginError(
        f"no plug-in {name!r}{did_you_mean(name, found)} in {folders}; install it, or give its folder"
    )


def find_hosted(class_id: str, names: Sequence[str], plugin_paths: Sequence[Path | str] = ()) -> str:
    """The name under which the plug-in that a project means is installed.

    It is known by its VST3 class id, where its bundle says that, else by one of the project's ``names`` for
    it: of its file, or as REAPER writes it (``VST3: Name (Maker)``). Raises :class:`PluginError` if it is
    not there.
    """
    found = installed(plugin_paths)
    if class_id:
        for name, path in found.items():
            if class_id.upper() in _class_ids(path):
                return name
    known = {name.casefold(): name for name in found}
    for name in names:
        plain = re.sub(r"^(VST3i?|VSTi?): *|\.vst3$| *\(.*\)$", "", name, flags=re.IGNORECASE)
        for form in (name, plain, re.sub(r" *\([^()]*\)$", "", plain)):
            if form.casefold() in known:
                return known[form.casefold()]
    raise PluginError("it is not installed")


@cache
def _class_ids(bundle: Path) -> frozenset[str]:
    """The classes that a VST3 bundle says it holds; newer ones do."""
    try:
        data = regular_files.read(bundle / "Contents" / "Resources" / "moduleinfo.json", MOST_INFO_BYTES)
    except OSError:
        return frozenset()
    return frozenset(
        match.decode().upper() for match in re.findall(rb'"CID"\s*:\s*"([0-9A-Fa-f]{32})"', data)
    )


def plugins_in(folder: Path) -> Iterator[Path]:
    """Plug-ins in ``folder`` and the folders in it, but not inside a plug-in's own bundle."""
    if folder.suffix in SUFFIXES:
        yield folder
        return
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            if name.endswith(SUFFIXES):
                yield Path(parent) / name
        folders[:] = sorted(name for name in folders if not name.endswith(SUFFIXES))
