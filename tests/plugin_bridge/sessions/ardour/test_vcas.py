"""VCA faders and groups; the same cases were compared with Ardour's own exports (to -160 dB)."""

import numpy as np
import pytest

from plugin_bridge.rendering.tracks import MixSource
from plugin_bridge.sessions.ardour.reader import read_ardour
from tests.plugin_bridge import ardour_helpers as ardour
from tests.plugin_bridge.session_helpers import write

LEVELS = {"A": 0.1, "B": 0.2, "C": 0.4}
TOLERANCE = 1e-6


def vca(number, gain=1.0, mute=0, solo=0, masters="", extra=""):
    """``masters``: what stands in its gain's control; ``extra``: its own followings, its automation."""
    return (
        f'<VCA name="V{number}" number="{number}">'
        f'<Controllable name="gaincontrol" id="{700 + number}" value="{gain}">{masters}</Controllable>'
        f'<Controllable name="solo" id="{720 + number}" value="{solo}" self-solo="{solo}"/>'
        f'<Controllable name="mute" id="{740 + number}" value="{mute}"/>{extra}</VCA>'
    )


def follows(*numbers):
    return "<Slavable>" + "".join(f'<Master number="{number}"/>' for number in numbers) + "</Slavable>"


def stood(**values):
    """Where VCAs stood when they were assigned: ``v1=0.5``."""
    records = "".join(
        f'<master id="{700 + int(name[1:])}" val-ctrl="1" val-master="{value}"/>'
        for name, value in values.items()
    )
    return f"<masters>{records}</masters>"


@pytest.fixture
def heard(tmp_path):
    """The level of the mix of tracks A, B and C, given what is said of A's strip, and VCAs."""

    def render(*vcas, a="", masters="", solo=0, at=0.5):
        routes = [ardour.master()]
        for number, (name, level) in enumerate(LEVELS.items(), 1):
            write(ardour.media(tmp_path, f"{name}.wav"), np.full((2, 2 * ardour.RATE), level, np.float32))
            text = ardour.route(
                name, number, channels=2, playlist=10 + number, soloed=solo if name == "C" else 0
            )
            if name == "A":
                text = text.replace("</Route>", f"{a}</Route>")
                text = text.replace(
                    '<Controllable name="gaincontrol" value="1.0"/>',
                    f'<Controllable name="gaincontrol" value="1.0">{masters}</Controllable>',
                )
            routes.append(text)
        lists = [
            ardour.playlist(10 + n, ardour.region(0, 2, 0, (f"{2 * n}", f"{2 * n + 1}"))) for n in (1, 2, 3)
        ]
        sources = [
            ardour.source(2 * n + channel, f"{name}.wav", channel)
            for n, name in enumerate(LEVELS, 1)
            for channel in (0, 1)
        ]
        more = f"<VCAManager>{''.join(vcas)}</VCAManager>"
        path = ardour.save(tmp_path, ardour.session(routes, lists, sources, end=2.0, more=more))
        with MixSource(read_ardour(path)) as mix:
            return pytest.approx(float(mix.read(round(at * ardour.RATE), 1)[0, 0]), abs=TOLERANCE)

    return render


def test_a_vca_turns_up_by_what_it_moved_since_it_was_assigned(heard):
    assert heard(vca(1, 0.5), a=follows(1)) == 0.1 * 0.5 + 0.6
    assert heard(vca(1, 0.5), a=follows(1), masters=stood(v1=0.5)) == 0.1 + 0.6
    assert heard(vca(1, 0.25), a=follows(1), masters=stood(v1=0.5)) == 0.1 * 0.5 + 0.6
    two = (vca(1, 0.5), vca(2, 3.0))
    assert heard(*two, a=follows(1, 2), masters=stood(v1=1, v2=2)) == 0.1 * 0.5 * 1.5 + 0.6


def test_vcas_that_follow_others_pass_on_all_that_they_do(heard):
    inner = vca(1, 0.5, masters=stood(v2=0.8), extra=follows(2))
    assert heard(inner, vca(2, 0.4), a=follows(1)) == 0.1 * 0.5 * 0.5 + 0.6
    assert heard(inner, vca(2, 0.4, mute=1), a=follows(1)) == 0.6
    assert heard(inner, vca(2, 0.8, solo=1), a=follows(1)) == 0.1 * 0.5
    # Once for each way.
    assert heard(vca(1, extra=follows(2)), vca(2, 0.5), a=follows(1, 2)) == 0.1 * 0.5 * 0.5 + 0.6


def test_mutes_and_solos_of_vcas(heard):
    assert heard(vca(1, mute=1), a=follows(1)) == 0.6
    assert heard(vca(1, solo=1), a=follows(1)) == 0.1
    assert heard(vca(1, solo=1), a=follows(1), solo=1) == 0.1 + 0.4
    assert heard(vca(1, mute=1, solo=1), a=follows(1)) == 0.0
    assert heard(vca(1, solo=1)) == 0.7  # nobody follows it


def test_automation_of_a_vca(heard):
    gain = ardour.automation("gain", [(0, 0.5), (2, 0.5)])
    assert heard(vca(1, extra=gain), a=follows(1), at=1.5) == 0.1 * 0.5 + 0.6
    muted = ardour.automation("mute", [(0, 0), (1, 1)], style="Discrete")
    assert heard(vca(1, mute=1, extra=muted), a=follows(1), at=0.5) == 0.7
    assert heard(vca(1, mute=1, extra=muted), a=follows(1), at=1.5) == 0.6


def test_a_knot_of_vcas_is_untied(heard):
    one, two = vca(1, 0.5, extra=follows(2)), vca(2, 0.5, extra=follows(1))
    assert heard(one, two, a=follows(1)) == 0.1 * 0.25 + 0.6
