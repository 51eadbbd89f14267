"""Small Ardour sessions, written out by hand: version 7 unless a test says otherwise."""

from xml.sax.saxutils import quoteattr

RATE = 48000
SUPERCLOCKS = 282_240_000
MONO_MIDDLE = 10 ** (-3 / 20)
"""What Ardour's mono panner gives each side in the middle."""


def clocks(seconds):
    return f"a{round(seconds * SUPERCLOCKS)}"


def curve(tag, name, points, style="Curved", state="Off"):
    """A fade or envelope; ``points`` are seconds and values."""
    lines = "\n".join(f"{clocks(at)} {value}" for at, value in points)
    return (
        f'<{tag}><AutomationList automation-id="{name}" interpolation-style="{style}" state="{state}">'
        f"<events>{lines}\n</events></AutomationList></{tag}>"
    )


def automation(name, points, state="Play", style="Exponential", time=clocks):
    lines = "\n".join(f"{time(at)} {value}" for at, value in points)
    return (
        f'<Automation><AutomationList automation-id="{name}" interpolation-style="{style}" state="{state}">'
        f"<events>{lines}\n</events></AutomationList></Automation>"
    )


def region(position=0.0, length=1.0, start=0.0, sources=("1",), extra="", inner="", name="region"):
    ids = " ".join(f'source-{index}="{one}"' for index, one in enumerate(sources))
    fades = f'fade-in-active="{int("<FadeIn" in inner)}" fade-out-active="{int("<FadeOut" in inner)}"'
    return (
        f'<Region name={quoteattr(name)} type="audio" start="{clocks(start)}" opaque="1" '
        f'length="{clocks(length)}@{clocks(position)}" channels="{len(sources)}" '
        f"{fades} {ids} {extra}>{inner}</Region>"
    )


def ports(name, direction, count, to):
    """``to`` is a route's name, or a list of one for each port."""
    word = "in" if direction == "Input" else "out"
    lines = ""
    for number in range(1, count + 1):
        other = to if isinstance(to, str) else (to or [""] * count)[number - 1]
        target = f"{other}/audio_in {number}" if isinstance(to, str) and to else other
        connection = f'<Connection other="{target}"/>' if target else ""
        lines += f'<Port type="audio" name="{name}/audio_{word} {number}">{connection}</Port>'
    return f'<IO name="{name}" direction="{direction}">{lines}</IO>'


def route(
    name, number, *, channels=1, to="Master", playlist=None, flags="AudioTrack", strip="", gain=1.0, trim=1.0,
    pan=0.5, muted=0, soloed=0, polarity="0", gain_automation="", color=0, outputs=2, extra="",
):  # fmt: skip
    own = f'audio-playlist="{playlist}"' if playlist else ""
    return f"""<Route version="7002" id="{number}" name="{name}" active="1" {own} {extra}>
  <PresentationInfo order="{number}" flags="{flags},OrderSet" color="{color}"/>
  <Controllable name="solo" value="0" self-solo="{soloed}"/>
  {ports(name, "Input", channels, "")}
  {ports(name, "Output", outputs, to)}
  <MuteMaster mute-point="PostFader,Listen,Main" muted="{muted}"/>
  <Controllable name="phase" value="0" phase-invert="{polarity}"/>
  <Pannable><Controllable name="pan-azimuth" value="{pan}"/></Pannable>
  <Processor type="polarity" active="1"/>
  <Processor type="trim" active="1"><Controllable name="trimcontrol" value="{trim}"/></Processor>
  <Processor type="amp" active="1">{gain_automation}
    <Controllable name="gaincontrol" value="{gain}"/></Processor>
  {strip}
  <Processor type="main-outs" active="1"><PannerShell bypassed="0" user-panner=""/></Processor>
</Route>
"""


def master(**values):
    return route("Master", 90, **{"channels": 2, "flags": "MasterOut", "to": "", **values})


def playlist(number, *regions):
    return f'<Playlist id="{number}" name="p{number}" type="audio">{"".join(regions)}</Playlist>\n'


def source(number, file="a.wav", channel=0, extra=""):
    return f'<Source name="{file}" type="audio" id="{number}" channel="{channel}" {extra}/>\n'


def session(routes, playlists, sources=(), end=4.0, start=0.0, more="", version="7002", rate=RATE):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Session version="{version}" name="song" sample-rate="{rate}" id-counter="1000" name-counter="1">
<Config><Option name="use-region-fades" value="1"/></Config>
<Sources>{"".join(sources or [source(1)])}</Sources>
<Regions/>
<Locations><Location id="80" name="session" start="{clocks(start)}" end="{clocks(end)}"
  flags="IsSessionRange"/></Locations>
<Routes>{"".join(routes)}</Routes>
<Playlists>{"".join(playlists)}</Playlists>
{more}
<TempoMap superclocks-per-second="282240000"><Tempos><Tempo npm="120" enpm="120" note-type="4" sclock="0"/>
</Tempos><Meters><Meter note-value="4" divisions-per-bar="4" sclock="0"/></Meters></TempoMap>
</Session>
"""


def save(folder, text, name="song.ardour"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def media(folder, name="a.wav"):
    """Where a session in ``folder`` keeps its own audio."""
    return folder / "interchange" / "song" / "audiofiles" / name
