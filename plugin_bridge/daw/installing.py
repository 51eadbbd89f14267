"""Puts the scripts for DAWs' menus where the DAWs look for them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from plugin_bridge.errors import SessionError
from separators.atomic import write_atomically

SCRIPTS = {"reaper": "stembridge_reaper.lua", "ardour": "stembridge_ardour.lua"}
"""By DAW."""
ARDOURS = range(6, 10)
WHERE = {
    "reaper": "Actions > Show action list > New action > Load ReaScript",
    "ardour": "Edit > Lua Scripts > Script Manager, or Window > Scripting",
}
"""How the script gets into the DAW's menu."""


def script_text(daw: str) -> str:
    """The script for ``daw``, calling this very program."""
    folder = resources.files("plugin_bridge.daw").joinpath("scripts")
    text = folder.joinpath(SCRIPTS[daw]).read_text(encoding="utf-8")
    text = text.replace("-- @JSON@\n", folder.joinpath("json.lua").read_text(encoding="utf-8"))
    words = [sys.executable, "-m", "plugin_bridge"]
    command = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
    return text.replace("@COMMAND@", command.replace("\\", "\\\\").replace('"', '\\"'))


def script_folders(
    daw: str,
    home: Path | None = None,
    system: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> list[Path]:
    """Where ``daw`` looks for scripts, as far as it has been started here once."""
    home = home or Path.home()
    if daw == "reaper":
        if system == "win32":
            parents = [Path(environment.get("APPDATA", home / "AppData" / "Roaming"), "REAPER")]
        elif system == "darwin":
            parents = [home / "Library" / "Application Support" / "REAPER"]
        else:
            parents = [Path(environment.get("XDG_CONFIG_HOME", home / ".config"), "REAPER")]
        return [parent / "Scripts" for parent in parents if parent.is_dir()]
    if system == "win32":
        base, name = Path(environment.get("LOCALAPPDATA", home / "AppData" / "Local")), "Ardour{}"
    elif system == "darwin":
        base, name = home / "Library" / "Preferences", "Ardour{}"
    else:
        base, name = Path(environment.get("XDG_CONFIG_HOME", home / ".config")), "ardour{}"
    parents = [base / name.format(version) for version in ARDOURS]
    return [parent / "scripts" for parent in parents if parent.is_dir()]


def install(daw: str, folder: Path | None = None) -> list[Path]:
    """Write the script for ``daw`` into ``folder``, or wherever the DAW looks; returns the files.

    Nothing is written where the DAW has never been started. Raises :class:`SessionError` if a folder cannot
    be written to.
    """
    written = []
    for place in [folder] if folder else script_folders(daw):
        path = place / SCRIPTS[daw]
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_atomically(path, script_text(daw).encode())
        except OSError as error:
            raise SessionError(
                f"{path}: cannot be written: {(error.strerror or str(error)).lower()}"
            ) from error
        written.append(path)
    return written
