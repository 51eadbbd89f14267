"""The page to listen, in a real browser and opened from disk: what is heard, seen, and pressed."""

from __future__ import annotations

import base64
import dataclasses
import errno
from contextlib import nullcontext

import numpy as np
import pytest
import soundfile

from plugin_bridge import separate
from plugin_bridge.errors import JobsFailedError
from plugin_bridge.jobs.listening import write_report
from plugin_bridge.report import page as page_room
from plugin_bridge.report.page import PageSet, PageStem, PageTrack, write_page
from separators.streaming import ArraySource
from tests.browser import chromium, opened, serious, small_targets
from tests.plugin_bridge.command_helpers import UNPAN, noise

RATE = 8000
SECONDS = 14
"""Three chunks."""
HEARD_DB = -90
"""What the sum of the stems may lack to the original in the page, relative to that."""

RENDER = """async ({from, frames, monitor, set, solo, mute}) => {
    const {player, description} = stembridge.page;
    const context = new OfflineAudioContext(description.channels, frames, description.rate);
    const graph = new stembridge.Graph(context, description);
    const mix = new stembridge.Mix(description);
    Object.assign(mix, {monitor, set});
    for (const stem of solo) mix.sets[set][stem].solo = true;
    for (const stem of mute) mix.sets[set][stem].mute = true;
    graph.apply(mix);
    for (let at = 0, here = from; at < frames; ) {
        const piece = player.nextPiece(here);
        for (const deck of player.decks) {
            const buffers = await player.store.get(deck, piece.number);
            graph.start(deck, buffers, here - piece.first, piece.to - piece.first, at);
        }
        at += piece.to - here;
        here = piece.next ?? piece.to;
        if (piece.next === null) break;
    }
    const rendered = await context.startRendering();
    return Array.from({length: description.channels}, (_, channel) => {
        const bytes = new Uint8Array(rendered.getChannelData(channel).buffer);
        let text = '';
        for (let at = 0; at < bytes.length; at += 8192) {
            text += String.fromCharCode(...bytes.subarray(at, at + 8192));
        }
        return btoa(text);
    });
}"""
RECORD = """async () => {
    const {player, description} = stembridge.page;
    const code = `registerProcessor('recorder', class extends AudioWorkletProcessor {
        process([input]) {
            if (input.length) this.port.postMessage([currentFrame, input.map((one) => one.slice())]);
            return true;
        }
    })`;
    const {context, graph} = player;
    await context.audioWorklet.addModule('data:text/javascript,' + encodeURIComponent(code));
    const node = new AudioWorkletNode(context, 'recorder', {channelCount: description.channels,
        channelCountMode: 'explicit', numberOfInputs: 1, numberOfOutputs: 0});
    window.recorded = [];
    node.port.onmessage = ({data}) => window.recorded.push(data);
    graph.fade.connect(node);
    window.pieces = new Map();  // the player forgets what was played
    setInterval(() => player.pieces.forEach(({at, from, to}) => window.pieces.set(at, {at, from, to})), 50);
}"""
FADED = RATE // 4
"""Frames of a piece that may be no more than a fade."""
CROSS_AND_LOOP = """async () => {
    const {player, rate} = stembridge.page;
    const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    player.seek(5 * rate);
    while (player.position < 5 * rate || player.position < 6.3 * rate) await pause(0.02);
    player.setLoop(true, 6.2 * rate, 7.9 * rate);
    await pause(2.5);
}"""
RECORDED = """() => ({
    blocks: window.recorded.map(([frame, channels]) => [frame, channels.map((one) => Array.from(one))]),
    pieces: [...window.pieces.values()].sort((one, other) => one.at - other.at),
})"""
STATE = "stembridge.page?.player.state"
POSITION = "stembridge.page.player.position"


def decibels(error, signal):
    return 10 * np.log10(np.square(error).sum() / np.square(signal).sum() + 1e-30)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two presets' stems of one stereo file, and their page."""
    folder = tmp_path_factory.mktemp("page")
    mixture = noise(seconds=SECONDS).astype(np.float32)
    soundfile.write(folder / "Duo.wav", mixture.T, RATE, "FLOAT")
    for name in ("unpan", "other"):
        (folder / f"{name}.toml").write_text(UNPAN.replace("Un-pan", name))
        separate(folder / "Duo.wav", folder / f"{name}.toml", folder / "out", name="{track}/{preset}/{stem}")
    write_report(folder / "out")
    return folder / "out"


@pytest.fixture
def page(browser, results):
    with opened(browser, (results / "report/index.html").as_uri()) as one:
        one.wait_for_selector(".play")
        yield one


def rendered(page, start=0, frames=SECONDS * RATE, monitor="stems", set=0, solo=(), mute=()):
    """What the page's own graph plays, ``(channels, frames)``."""
    made = page.evaluate(
        RENDER,
        {"from": start, "frames": frames, "monitor": monitor, "set": set, "solo": solo, "mute": mute},
    )
    return np.stack([np.frombuffer(base64.b64decode(channel), np.float32) for channel in made])


def audio(path):
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


def original(results):
    return audio(results.parent / "Duo.wav")


def play(page):
    page.click(".play")
    page.wait_for_function(f"{STATE} === 'playing'")


def test_stems_sum_to_the_original_and_are_in_step_to_the_sample(page, results):
    mixture = original(results)
    assert decibels(rendered(page) - mixture, mixture) < HEARD_DB
    assert decibels(rendered(page, monitor="original") - mixture, mixture) < HEARD_DB
    assert decibels(rendered(page, monitor="difference"), mixture) < HEARD_DB
    for index in range(2):
        stem = audio(results / f"Duo/other/source-{index + 1}.wav")
        assert decibels(rendered(page, solo=[index]) - stem, mixture) < HEARD_DB
        other = rendered(page, mute=[index])
        assert decibels(other - (mixture - stem), mixture) < HEARD_DB
        # The difference is what the mixer leaves out.
        missing = rendered(page, monitor="difference", mute=[index])
        assert decibels(missing - stem, mixture) < HEARD_DB


def test_a_part_that_begins_and_ends_inside_chunks_is_the_same_part(page, results):
    mixture = original(results)
    start, frames = 5 * RATE + 123, 7 * RATE + 45
    wanted = mixture[:, start : start + frames]
    assert decibels(rendered(page, start, frames) - wanted, wanted) < HEARD_DB


def test_what_is_played_live_is_in_step_across_chunks_and_loops(page, results):
    """The sound card's own samples: two seconds around a border of chunks, then a loop that comes round."""
    mixture = original(results)
    play(page)
    page.evaluate(RECORD)
    page.evaluate(CROSS_AND_LOOP)
    found = page.evaluate(RECORDED)
    got = {}
    for frame, channels in found["blocks"]:
        for offset in range(len(channels[0])):
            got[frame + offset] = (channels[0][offset], channels[1][offset])
    heard = crossed = wrapped = 0
    last = max(got)
    for piece, after in zip(found["pieces"], [*found["pieces"][1:], None], strict=True):
        end = piece["at"] + piece["to"] - piece["from"]
        # What a seek cuts short is faded, and on a busy machine the recorder misses blocks.
        cut = after and after["at"] < end
        frames = [at for at in range(piece["at"], end) if at in got]
        if cut or piece["at"] not in got or len(frames) < FADED:
            continue
        mine = np.array([got[at] for at in frames]).T
        wanted = mixture[:, np.array(frames) - piece["at"] + piece["from"]]
        assert decibels(mine - wanted, wanted) < HEARD_DB
        heard += len(frames)
        followed = after and after["at"] == end and after["at"] < last
        crossed += bool(followed and after["from"] == piece["to"])
        wrapped += bool(followed and after["from"] < piece["to"])
    assert heard > 2 * RATE
    assert crossed
    assert wrapped


def test_play_pause_seek_and_keys(page):
    assert page.evaluate(STATE) == "stopped"
    play(page)
    assert page.get_attribute(".play", "aria-label") == "Pause"
    page.wait_for_function(f"{POSITION} > 2000")
    page.keyboard.press("p")  # means nothing
    page.click(".play")
    assert page.evaluate(STATE) == "stopped"
    stopped = page.evaluate(POSITION)
    page.wait_for_timeout(200)
    assert page.evaluate(POSITION) == stopped
    page.locator("main").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(POSITION) == 5 * RATE
    page.keyboard.press("Shift+ArrowLeft")
    assert page.evaluate(POSITION) == 4 * RATE
    assert page.get_attribute(".seek", "aria-valuetext") == "4 seconds"
    page.keyboard.press("Space")
    page.wait_for_function(f"{STATE} === 'playing'")
    page.keyboard.press("End")
    assert page.evaluate(STATE) == "stopped"
    box = page.locator(".overlay").bounding_box()
    lane = page.locator(".wave").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, lane["y"] + 20)
    assert abs(page.evaluate(POSITION) - SECONDS * RATE / 2) < SECONDS * RATE / box["width"]


def test_dragging_loops_a_part_and_keys_move_its_ends(page):
    box = page.locator(".overlay").bounding_box()
    lane = page.locator(".wave").nth(1).bounding_box()
    for across, act in ((0.25, page.mouse.down), (0.5, page.mouse.up)):
        page.mouse.move(box["x"] + across * box["width"], lane["y"] + 20, steps=4)
        act()
    loop = page.evaluate("stembridge.page.player.loop")
    pixel = SECONDS * RATE / box["width"]
    assert loop["on"]
    assert abs(loop["from"] - 0.25 * SECONDS * RATE) < 2 * pixel
    assert abs(loop["to"] - 0.5 * SECONDS * RATE) < 2 * pixel
    assert page.locator(".region.on").is_visible()
    page.evaluate("stembridge.page.player.seek(4 * 8000)")
    page.keyboard.press("[")
    assert page.evaluate("stembridge.page.player.loop.from") == 4 * RATE
    page.keyboard.press("l")
    assert not page.evaluate("stembridge.page.player.loop.on")


def test_mute_solo_volume_and_monitors(page):
    gains = "stembridge.page.player.graph.decks.get('set0').faders.map((one) => one.gain.value)"
    play(page)
    page.locator(".solo").nth(0).click()
    page.wait_for_function(f"{gains}[1] === 0 && {gains}[0] === 1")
    assert page.locator(".solo").nth(0).get_attribute("aria-pressed") == "true"
    page.keyboard.press("0")
    page.keyboard.press("Shift+Digit1")
    page.wait_for_function(f"{gains}[0] === 0 && {gains}[1] === 1")
    page.keyboard.press("0")
    page.locator(".stems input").nth(1).fill("-6")
    page.wait_for_function(f"Math.abs({gains}[1] - 10 ** (-6 / 20)) < 1e-6")
    assert page.locator(".stems input").nth(1).get_attribute("aria-valuetext") == "−6.0 dB"
    for key, name in (("o", "original"), ("d", "difference"), ("s", "stems")):
        page.keyboard.press(key)
        pressed = page.locator(f"[data-value={name}]")
        assert pressed.get_attribute("aria-pressed") == "true"


def test_space_plays_after_a_click_and_presses_what_keys_have_reached(page):
    solo = page.locator(".solo").nth(0)
    solo.click()
    page.keyboard.press("Space")
    page.wait_for_function(f"{STATE} === 'playing'")
    assert solo.get_attribute("aria-pressed") == "true"
    page.locator(".stems input").nth(0).click()
    page.keyboard.press("Space")
    assert page.evaluate(STATE) == "stopped"
    solo.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert solo.get_attribute("aria-pressed") == "false"
    assert page.evaluate(STATE) == "stopped"
    page.click("#help-button")
    page.keyboard.press("Space")  # on its button
    assert not page.locator("dialog").is_visible()


def test_brackets_that_a_keyboard_has_behind_alt_move_the_loop(page):
    page.evaluate(f"stembridge.page.player.seek(4 * {RATE})")
    alt_gr = {"key": "[", "ctrlKey": True, "altKey": True, "bubbles": True}
    page.evaluate("(keys) => document.body.dispatchEvent(new KeyboardEvent('keydown', keys))", alt_gr)
    assert page.evaluate("stembridge.page.player.loop.from") == 4 * RATE
    back = {"key": "]", "metaKey": True, "bubbles": True}  # the browser's own
    page.evaluate("(keys) => document.body.dispatchEvent(new KeyboardEvent('keydown', keys))", back)
    assert page.evaluate("stembridge.page.player.loop.to") == SECONDS * RATE


def test_two_presets_side_by_side(page, results):
    names = page.locator("[aria-label=Preset] button").all_inner_texts()
    assert names == ["A other", "B unpan"]
    play(page)
    page.keyboard.press("b")
    page.wait_for_function("stembridge.page.player.graph.decks.get('set1').out.gain.value === 1")
    assert page.evaluate("stembridge.page.player.graph.decks.get('set0').out.gain.value") == 0
    assert page.evaluate(STATE) == "playing"
    mixture = original(results)
    stem = audio(results / "Duo/unpan/source-1.wav")
    assert decibels(rendered(page, set=1, solo=[0]) - stem, mixture) < HEARD_DB


def test_figures_of_the_manifest_stand_on_the_page(page):
    text = page.locator(".figures").first.inner_text()
    for words in ("dB away from the input", "ica", "8000 Hz, 2 channels", "Duo/unpan/source-1.wav"):
        assert words in text


def test_spectrograms_and_zoom(page):
    page.keyboard.press("v")
    page.wait_for_function("[...stembridge.page.images.values()].every((one) => one.naturalWidth > 0)")
    assert page.evaluate("stembridge.page.images.size") == 3
    page.keyboard.press("+")
    assert page.evaluate("stembridge.page.view.zoom") == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_nothing_stands_in_the_way_of_aids_and_small_screens(browser, results, scheme, size):
    viewport = {"width": size[0], "height": size[1]}
    address = (results / "report/index.html").as_uri()
    with opened(browser, address, viewport=viewport, color_scheme=scheme) as page:
        page.wait_for_selector(".play")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert small_targets(page) == []
        # The transport covers no more than a sixth of the screen, and names stand there whole.
        assert page.evaluate("document.getElementById('transport').offsetHeight") < size[1] / 6
        page.evaluate("document.querySelector('.stems strong').textContent = 'Backing vocals left'")
        assert page.evaluate(
            """[...document.querySelectorAll('.name strong')]
               .every((one) => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight)"""
        )


LONG = "Backing vocals left and right, double tracked, take 17 (comped), final final " + "a" * 80


@pytest.mark.parametrize("size", [(1280, 900), (390, 844), (320, 568), (844, 390)], ids=str)
def test_long_names_many_presets_and_silent_stems_on_any_screen(browser, tmp_path, size):
    stems = [
        ArraySource(
            np.full((2, RATE), level, np.float32),
            RATE,
        )
        for level in (0.5, 1e-4, 0.0)
    ]
    sets = [PageSet(f"{number} {LONG}", made_track("", stems).sets[0].stems) for number in range(9)]
    tracks = [
        dataclasses.replace(made_track(f"{number} {LONG}", stems), key=str(number) * 40, sets=sets)
        for number in range(9)
    ]
    index = write_page(tmp_path / "page", LONG, tracks, tmp_path)
    viewport = {"width": size[0], "height": size[1]}
    with opened(browser, index.as_uri(), viewport=viewport) as page:
        page.wait_for_selector(".play")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        for wide in (".choice", ".choice button", ".tracks li:first-child a", ".tools h2", ".seek"):
            assert page.evaluate(
                "(what) => Math.max(...[...document.querySelectorAll(what)]"
                ".map((one) => one.getBoundingClientRect().right))",
                wide,
            ) <= size[0]  # fmt: skip
        # What does not sound at all says so; what is faint has an outline.
        assert page.locator(".silent").all_inner_texts() == ["silent"]
        assert page.locator(".lane").last.locator(".silent").is_visible()
        assert serious(page) == []
        assert small_targets(page) == []
        assert page.evaluate("document.getElementById('transport').offsetHeight") < size[1] / 5


def test_four_minutes_of_four_stems_are_ready_within_two_seconds(browser, tmp_path):
    """And only what is near is decoded."""
    frames = 240 * RATE
    sources = [ArraySource(noise(seconds=240, seed=seed).astype(np.float32), RATE) for seed in range(4)]
    mixture = ArraySource(sum(source.read(0, frames) for source in sources), RATE)
    track = made_track("Long", sources, mixture)
    index = write_page(tmp_path / "page", "Long", [track], tmp_path)
    with opened(browser, index.as_uri()) as page:
        page.wait_for_function(f"{STATE} === 'stopped'")
        assert page.evaluate("performance.now()") < 2000
        play(page)
        page.evaluate("stembridge.page.player.seek(200 * 8000)")
        page.wait_for_function(f"{POSITION} > 200 * 8000")
        assert page.evaluate("stembridge.page.player.store.chunks.size") <= 8


def made_track(name, stems, mixture=None, preset="by hand"):
    made = [
        PageStem(f"stem <{index}>", lambda one=one: nullcontext(one), f"{name}/{index}.wav")
        for index, one in enumerate(stems)
    ]
    first = stems[0]
    find = (lambda: (lambda: nullcontext(mixture), "")) if mixture else (lambda: (None, "it is gone"))
    return PageTrack(
        name, "0" * 40, first.sample_rate, first.channels, first.frames, [PageSet(preset, made)], find
    )


def test_names_are_text_and_a_track_without_its_original_says_so(browser, tmp_path):
    name = "</script><img src=x onerror=alert(1)>&amp; 音 ' \""
    track = made_track(name, [ArraySource(np.full((1, 100), 3.0, np.float32), RATE)], preset=name)
    index = write_page(tmp_path / "page", name, [track], tmp_path)
    with opened(browser, index.as_uri()) as page:
        page.wait_for_selector(".play")
        assert page.locator("h1").inner_text() == name
        assert page.locator("img").count() == 0
        assert page.locator(".lane strong").inner_text() == "stem <0>"
        assert "it is gone" in page.locator(".notice").inner_text()
        assert page.locator("[data-value=original]").is_disabled()
        assert np.abs(rendered(page, frames=100) - 3).max() < 1e-4  # beyond full scale, too


@pytest.mark.parametrize(
    ("rate", "channels", "frames"),
    [(8000, 1, 1), (8000, 2, 7), (11025, 1, 5000), (96_000, 2, 9000), (192_000, 1, 9000), (44_100, 6, 9000),
     (48_000, 8, 9000), (3000, 1, 3000)],
)  # fmt: skip
def test_any_rate_any_channels_and_any_length_is_heard(browser, tmp_path, rate, channels, frames):
    generator = np.random.default_rng(0)
    stems = [(0.1 * generator.standard_normal((channels, frames))).astype(np.float32) for _ in range(2)]
    sources = [ArraySource(stem, rate) for stem in stems]
    index = write_page(
        tmp_path / "page", "x", [made_track("Other", sources, ArraySource(sum(stems), rate))], tmp_path
    )
    with opened(browser, index.as_uri()) as page:
        page.wait_for_selector(".play")
        assert decibels(rendered(page, frames=frames) - sum(stems), sum(stems)) < HEARD_DB
        page.click(".play")
        page.keyboard.press("End")
        page.keyboard.press("Home")
        assert page.locator(".failure").count() == 0


def test_what_no_browser_plays_is_said_and_the_rest_is_on_the_page(browser, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "unpan.toml").write_text(UNPAN)
    sounds = {"song": (2, RATE), "twelve": (12, RATE), "slow": (2, 2000)}
    generator = np.random.default_rng(0)
    for name, (channels, rate) in sounds.items():
        audio = 0.05 * generator.laplace(size=(4000, channels)) @ generator.normal(size=(channels, channels))
        soundfile.write(tmp_path / "in" / f"{name}.wav", audio.clip(-1, 1), rate, "FLOAT")
    done = separate(tmp_path / "in", tmp_path / "unpan.toml", tmp_path / "out", report=True)
    with opened(browser, done.page.as_uri()) as page:
        page.wait_for_selector(".play")
        assert page.locator("nav li").count() == 1
        said = sorted(page.locator("main > .notice").all_inner_texts())
        assert said == [
            "Not on this page: slow: is sampled at 2000 Hz; browsers play 3000 to 768000 Hz.",
            "Not on this page: twelve: has 12 channels; a page plays up to 8.",
        ]


def test_without_a_page_the_stems_are_there_and_their_results_told(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(seconds=0.5).T.clip(-1, 1), RATE, "FLOAT")
    (tmp_path / "unpan.toml").write_text(UNPAN)
    (tmp_path / "out" / "report").mkdir(parents=True)
    (tmp_path / "out" / "report" / "mine.txt").touch()
    with pytest.raises(JobsFailedError, match="something else of this name") as caught:
        separate(tmp_path / "a.wav", tmp_path / "unpan.toml", tmp_path / "out", report=True)
    assert [result.status for result in caught.value.results.jobs] == ["done", "failed"]
    assert [path.is_file() for path in caught.value.results.jobs[0].outputs] == [True, True]


def test_a_chunk_that_is_missing_is_said(browser, results, tmp_path):
    track = made_track("Short", [ArraySource(np.ones((1, 100), np.float32), RATE)])
    index = write_page(tmp_path / "page", "Short", [track], tmp_path)
    for path in index.parent.glob("tracks/*/set0-0000.js"):
        path.unlink()
    with opened(browser, index.as_uri()) as page:
        page.wait_for_selector(".failure")
        assert "was the whole folder copied?" in page.locator(".failure").inner_text()
        page.complaints.clear()


def test_a_page_that_was_interrupted_is_ours_and_is_finished_later(tmp_path, monkeypatch):
    track = made_track("Duo", [ArraySource(np.ones((1, 100), np.float32), RATE)])
    other = dataclasses.replace(track, key="1" * 40)

    def make(track, work):
        (tmp_path / work).mkdir()
        return write_page(tmp_path / "page", "Duo", [track], tmp_path / work)

    with monkeypatch.context() as full:
        full.setattr(page_room, "_write_track", no_space)
        with pytest.raises(OSError, match="No space"):
            make(track, "1")
    assert "not finished" in (tmp_path / "page/index.html").read_text()
    index = make(track, "2")
    finished = index.read_bytes()
    assert b"Duo" in finished
    with monkeypatch.context() as full:
        full.setattr(page_room, "_write_track", no_space)
        with pytest.raises(OSError, match="No space"):
            make(other, "3")
    assert index.read_bytes() == finished  # what can be listened to stays


def no_space(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_track_is_made_again_only_if_it_changed_or_its_original_is_found(tmp_path):
    source = ArraySource(np.ones((1, 100), np.float32), RATE)
    without = made_track("Duo", [source])
    (tmp_path / "work").mkdir()
    index = write_page(tmp_path / "page", "Duo", [without], tmp_path / "work")
    (folder,) = (index.parent / "tracks").iterdir()
    (folder / "seen").touch()
    write_page(tmp_path / "page", "Duo", [without], tmp_path / "work")
    assert (folder / "seen").exists()
    write_page(tmp_path / "page", "Duo", [made_track("Duo", [source], source)], tmp_path / "work")
    assert not (folder / "seen").exists()
    other = dataclasses.replace(without, key="1" * 40)
    write_page(tmp_path / "page", "Duo", [other], tmp_path / "work")
    assert not folder.exists()
