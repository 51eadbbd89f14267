"""An Ardour session with all that is read of one."""

from pathlib import Path

from tests.fuzz.session_kinds import read_session
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.sessions.ardour.test_compounds import compound
from tests.plugin_bridge.sessions.ardour.test_midi import midi_file


def read(path: Path) -> None:
    """Opens a session beside which its MIDI file lies."""
    keys = path.parent / "interchange" / "song" / "midifiles" / "keys.mid"
    if not keys.exists():
        midi_file(keys)
    read_session(path)


def sessions() -> list[bytes]:
    """The seeds."""
    inner = (
        ardour.curve("Envelope", "envelope", [(0, 1), (1, 0.5)], "Exponential")
        + ardour.curve("FadeIn", "fadein", [(0, 0), (0.1, 0.25), (0.2, 1)])
        + ardour.curve("InverseFadeIn", "fadein", [(0, 1), (0.1, 0.75), (0.2, 0)])
        + ardour.curve("FadeOut", "fadeout", [(0, 1), (0.4, 0)])
    )
    send = (
        '<Processor type="intsend" role="Aux" active="1" target="3">'
        '<Controllable name="gaincontrol" value="0.5"/></Processor>'
        '<Processor type="lv2" active="1" name="Echo" unique-id="urn:echo"/>'
    )
    routes = [
        ardour.master(gain=0.5, pan=0.75),
        ardour.route(
            "Voice", 1, playlist=10, to="Bus", strip=send, color=0x11223344, muted=1,
            gain_automation=ardour.automation("gain", [(0, 1), (1, 0.1)]),
        ),
        ardour.route("Bus", 2, channels=2, flags="AudioBus", soloed=1),
        ardour.route("Echo", 3, channels=2, flags="AudioBus"),
        ardour.route("Keys", 4, playlist=11).replace("audio-playlist", "midi-playlist"),
    ]  # fmt: skip
    regions = [
        ardour.region(1.0, 1.0, 0.5, inner=inner, extra='envelope-active="1" layering-index="1"'),
        ardour.region(1.5, 1.0, sources=("1", "2"), extra='layering-index="0" scale-amplitude="0.5"'),
    ]
    sources = [ardour.source(1), ardour.source(2, channel=1)]
    sources.append('<Source name="keys.mid" type="midi" id="3"/>')
    keys = '<Region name="k" type="midi" start="b480" length="b7680@b1920" source-0="3"/>'
    played = f'<Playlist id="11" name="k" type="midi">{keys}</Playlist>'
    stood = '<masters><master id="71" val-ctrl="1" val-master="0.8"/></masters>'
    follows = '<Slavable><Master number="2"/></Slavable>'
    fader = f'<Controllable name="gaincontrol" id="70" value="0.5">{stood}</Controllable>'
    other = '<Controllable name="gaincontrol" id="71" value="0.5"/><Controllable name="solo" self-solo="1"/>'
    vcas = f'<VCA name="v" number="1">{fader}{follows}</VCA><VCA name="w" number="2">{other}</VCA>'
    routes[1] = routes[1].replace("</Route>", '<Slavable><Master number="1"/></Slavable></Route>')
    regions.append(ardour.region(3.0, 1.0, sources=("50",)))
    more = f"<VCAManager>{vcas}</VCAManager>"
    text = ardour.session(routes, [ardour.playlist(10, *regions), played], sources, more=more)
    inner = compound(50, ardour.region(0.0, 1.0))
    return [text.replace("<Regions/>", f"<Regions>{inner}</Regions>").encode()]
