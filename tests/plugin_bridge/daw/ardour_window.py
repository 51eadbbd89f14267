"""Ardour's own window on a screen that nobody sees, without a sound card: actions need its editor."""

import base64
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("ardour", "ardour7-lua", "Xvfb", "xdotool")
KEYS = Path("/etc/ardour7/ardour.keys")
"""Ardour's own bindings of keys."""
CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour><Config>
  <Option name="processor-usage" value="1"/>
  <Option name="hide-dummy-backend" value="0"/>
  <Option name="try-autostart-engine" value="1"/>
</Config><Extra><AudioMIDISetup><EngineStates>
  <State backend="None (Dummy)" driver="Normal Speed" device="Silence" input-device="" output-device=""
    sample-rate="48000" buffer-size="1024" n-periods="0" input-latency="0" output-latency="0" lm-input=""
    lm-output="" active="1" use-buffered-io="0" midi-option="1 in, 1 out, Silence" lru="1"><MIDIDevices/>
  </State>
</EngineStates></AudioMIDISetup></Extra></Ardour>
"""
PATIENCE = 300
"""Seconds for anything to appear."""


def is_installed() -> bool:
    return KEYS.is_file() and all(map(shutil.which, PROGRAMS))


def in_lua(script, text):
    """What Ardour's Lua prints."""
    script.write_text(text)
    ended = subprocess.run(["ardour7-lua", script], capture_output=True, check=False, timeout=PATIENCE)
    return ended.stdout


def with_action(home, script):
    """The settings of somebody who has put ``script`` first among the actions, on the key F12."""
    settings = home / "ardour7"
    settings.mkdir(parents=True)
    (settings / ".a7").touch()  # started before: no questions
    (settings / "config").write_text(CONFIG)
    # Ardour keeps the function as it was compiled, without anything around it.
    said = in_lua(
        home / "compile.lua",
        f"function ardour() end\ndofile('{script}')\n"
        "local hex = string.dump(factory, true):gsub('.', function(c) return ('%02x'):format(c:byte()) end)\n"
        "print('CODE ' .. hex .. ' END')\nquit()\n",
    )
    code = bytes.fromhex(said.split(b"CODE ")[1].split(b" END")[0].decode())
    words = "".join(f"\\{byte:03d}" for byte in code)
    saved = f'scripts = {{}} scripts[1] = {{}} scripts[1]["n"] = "Stems" scripts[1]["f"] = "{words}" '
    saved += 'scripts[1]["a"] = {} scripts[1]["s"] = "" '
    packed = base64.b64encode(saved.encode()).decode()
    text = f'<UIScripts><ActionScript lua="Lua 5.3">{packed}</ActionScript><ActionHooks/></UIScripts>'
    (settings / "ui_scripts").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')
    bound = KEYS.read_text().replace("Editor/goto-visual-state-12", "LuaAction/script-1")
    (version,) = {path.name for path in Path("/usr/lib/ardour7").glob("ardour-7.*")}
    (settings / f"{version}.keys").write_text(bound)


class Window:
    """What stands on the screen, and keys that are pressed there."""

    def __init__(self, environment):
        self.environment = environment

    def _do(self, *words):
        ended = subprocess.run(
            ["xdotool", *map(str, words)], env=self.environment, capture_output=True, text=True, check=False
        )
        return ended.stdout.split()

    def find(self, title):
        return self._do("search", "--onlyvisible", "--name", title)

    def wait(self, title, gone=False):
        until = time.monotonic() + PATIENCE
        while bool(self.find(title)) == gone:
            if time.monotonic() > until:
                names = [self._do("getwindowname", one) for one in self.find(".*")]
                raise AssertionError(f"{title!r} is {'still' if gone else 'not'} there, but {names}")
            time.sleep(0.3)

    def press(self, title, key):
        """Without a window manager keys go where the pointer is."""
        (window, *_) = self.find(title)
        self._do("mousemove", "--window", window, 60, 20)
        time.sleep(1)
        self._do("key", key)


@contextmanager
def opened(folder, session, script):
    """Ardour with ``session`` open; F12 runs the action in ``script``."""
    with_action(folder / "settings", script)
    own = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "settings")}
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with screen, os.fdopen(read) as said:
        program = None
        try:
            environment = {**os.environ, **own, "DISPLAY": f":{said.readline().strip()}"}
            with (folder / "ardour.log").open("w") as log:
                program = subprocess.Popen(
                    ["ardour", "-a", "-n", str(session)], env=environment, stdout=log, stderr=log
                )
            yield Window(environment)
            program.wait(PATIENCE)
        finally:
            if program is not None:
                program.kill()
                program.wait()
            screen.terminate()
