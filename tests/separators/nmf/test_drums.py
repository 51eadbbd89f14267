import numpy as np
import pytest
import soxr
from safetensors import safe_open

from separators import NMF, ParameterError
from separators.evaluation import si_sdr
from separators.nmf.drum_templates import DRUMS, FRAMES, PATH, learned, templates
from separators.nmf.drums import DEFAULT
from separators.nmf.factors import Factorized
from separators.remarks import heard_by
from separators.spectral import STFT, fft_size_for

RATE = 44100
SUM_DB = -120.0
ABOVE_FLOOR_DB = 8.0  # each drum, even where it never sounds alone
WANTED_DB = 10.0  # mean over the drums of the loop below


def one_shots(seed=0):
    """A kick (a falling sine), a snare (a tone and noise) and a hi-hat (bright noise)."""
    random = np.random.default_rng(seed)
    time = np.arange(round(0.3 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 * time - 4 * np.exp(-time / 0.03))) * np.exp(-time / 0.08)
    noise = random.standard_normal((2, len(time)))
    snare = 0.5 * np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05)
    snare += 0.35 * np.convolve(noise[0], [1, 0.5])[: len(time)] * np.exp(-time / 0.06)
    bright = np.diff(noise[1], 3, prepend=[0, 0, 0])
    hihat = 0.05 * bright * np.exp(-time / 0.02)
    return kick, snare, hihat


def loop(rate=RATE, bars=2, rows=("x.......x.x.....", "....x.......x...", "x.x.x.x.x.x.x.x.")):
    """The drums of a loop, each on its own: ``(3, 1, frames)``."""
    step = round(0.14 * RATE)
    drums = np.zeros((3, 1, bars * 16 * step), np.float32)
    for drum, shot, row in zip(drums[:, 0], one_shots(), rows, strict=True):
        for sixteenth, sign in enumerate(row * bars):
            if sign == "x":
                part = drum[sixteenth * step :][: len(shot)]
                part += shot[: len(part)]
    return np.stack([soxr.resample(drum.T, RATE, rate).T for drum in drums])


def error_db(estimate, reference):
    return 20 * np.log10(np.linalg.norm(estimate - reference) / np.linalg.norm(reference) + 1e-30)


@pytest.mark.parametrize("rate", [32000, 44100, 96000])
def test_a_loop_comes_apart_into_named_drums(rate):
    drums = loop(rate)
    stems = NMF(mode="drums").separate(drums.sum(axis=0), rate)
    assert tuple(stems) == DEFAULT == ("kick", "snare", "hihat")
    scores = [si_sdr(drum, stem) for drum, stem in zip(drums, stems.values(), strict=True)]
    floor = np.mean([si_sdr(drum, drums.sum(axis=0)) for drum in drums])
    assert floor < 0
    assert np.mean(scores) > WANTED_DB
    assert error_db(stems.array.sum(axis=0), drums.sum(axis=0)) < SUM_DB


@pytest.mark.parametrize("beta", [0, 2])
def test_other_divergences_bring_out_the_drums_too(beta):
    drums = loop()
    stems = NMF(mode="drums", beta=beta).separate(drums.sum(axis=0), RATE)
    for drum, stem in zip(drums, stems.values(), strict=True):
        assert si_sdr(drum, stem) > si_sdr(drum, drums.sum(axis=0))


@pytest.mark.parametrize("drum", range(3))
def test_a_drum_alone_stays_on_its_stem(drum):
    drums = loop()
    stems = NMF(mode="drums").separate(drums[drum], RATE)
    levels = [np.linalg.norm(stem) for stem in stems.values()]
    assert np.argmax(levels) == drum


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("length", [1, 100, 30000])
@pytest.mark.parametrize("rate", [8000, 96000])
def test_stems_of_any_audio_sum_to_it(length, channels, rate):
    mixture = np.random.default_rng(0).standard_normal((channels, length)).astype(np.float32)
    stems = NMF(mode="drums", iterations=20).separate(mixture, rate)
    assert stems.array.shape == (3, channels, length)
    assert error_db(stems.array.sum(axis=0), mixture) < SUM_DB


def test_blocks_follow_one_another_without_a_seam():
    class InShortBlocks(NMF):
        block_seconds = 1.5

    mixture = loop().sum(axis=0)
    whole = NMF(mode="drums").separate(mixture, RATE)
    pieces = InShortBlocks(mode="drums").separate(mixture, RATE)
    assert error_db(pieces.array, whole.array) < -25


def test_the_result_does_not_depend_on_chance():
    mixture = loop(bars=1).sum(axis=0)
    first, again = (NMF(mode="drums", seed=seed).separate(mixture, RATE).array for seed in (1, 2))
    np.testing.assert_array_equal(first, again)


def test_learned_templates_are_the_drums_they_are_called():
    frequencies = np.linspace(0, 22050, learned()["kick"].shape[1])
    centers = {drum: float(template.sum(axis=0) @ frequencies) for drum, template in learned().items()}
    assert tuple(centers) == DRUMS
    assert centers["kick"] < centers["tom"] < centers["snare"] < centers["hihat"]
    assert centers["clap"] < centers["hihat-open"]
    left = {}
    for drum, template in learned().items():
        assert template.shape[0] == FRAMES
        assert template.sum() == pytest.approx(1, abs=1e-4)
        left[drum] = template[-1].sum() / template.sum(axis=1).max()
        assert left[drum] < 0.9  # they decay
    assert max(left["kick"], left["snare"], left["hihat"]) < 0.5
    assert min(left["hihat-open"], left["cymbal"]) > left["hihat"]  # and these ring on


def test_templates_name_the_one_shots_that_were_held_out():
    with safe_open(PATH, "numpy") as file:
        held_out = file.metadata()["held_out"].split()
    assert len(held_out) > 10
    card = PATH.with_suffix(".md").read_text(encoding="utf-8")
    used = card.split("## Learned from")[1].split("## Held out")[0]
    assert not [name for name in held_out if name in used.replace(",", " ").split()]


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
@pytest.mark.parametrize("overlap", [2, 8])
def test_templates_fit_every_analysis(rate, overlap):
    size = fft_size_for(rate)
    stft = STFT(size, size // overlap)
    W = templates(list(learned().values()), stft, rate)
    assert W.shape[0] == len(DRUMS)
    assert W.shape[2] == stft.bins
    assert W.shape[1] * stft.hop / rate == pytest.approx(FRAMES * 512 / 44100, rel=0.15)
    assert (W >= 0).all()
    np.testing.assert_allclose(W.sum(axis=(1, 2)), 1, rtol=1e-4)


def test_templates_for_their_own_analysis_are_as_learned():
    known = list(learned().values())
    np.testing.assert_allclose(templates(known, STFT(2048, 512), 44100), known, rtol=1e-4, atol=1e-9)


def test_only_the_drums_that_are_named_are_looked_for():
    drums = loop(bars=1)
    separator = NMF(mode="drums", drums=" hihat,kick, tom ")
    stems = separator.separate(drums.sum(axis=0), RATE)
    assert list(stems) == ["hihat", "kick", "tom"]
    assert error_db(stems.array.sum(axis=0), drums.sum(axis=0)) < SUM_DB
    assert si_sdr(drums[0], stems["kick"]) > WANTED_DB


@pytest.mark.parametrize(
    ("drums", "said"), [("kick, gong", "no drum 'gong'"), ("kick,", "no drum ''"), ("kick, kick", "twice")]
)
def test_drums_that_are_not_known_are_refused_at_once(drums, said):
    with pytest.raises(ParameterError, match=f"nmf: drums: .*{said}") as error:
        NMF(mode="drums", drums=drums)
    assert "\n" not in str(error.value)


def test_a_snare_that_falls_only_on_the_kick_comes_out():
    """The kick is also heard alone; which part of the double hits is the snare follows from that."""
    drums = loop(bars=4, rows=("x...x...x...x...", "....x.......x...", "..x...x...x...x."))
    stems = NMF(mode="drums").separate(drums.sum(axis=0), RATE)
    for drum, stem in zip(drums, stems.values(), strict=True):
        assert si_sdr(drum, stem) > si_sdr(drum, drums.sum(axis=0)) + ABOVE_FLOOR_DB


def test_what_was_learned_can_be_looked_at():
    drums = loop()
    transform = NMF(mode="drums").fit(drums.sum(axis=0), RATE)
    assert isinstance(transform, Factorized)
    factors = transform.factors
    assert factors.names == DEFAULT
    assert len(factors.activations) == pytest.approx(drums.shape[2] / RATE / factors.hop_seconds, abs=4)
    assert factors.templates.shape[0] == factors.activations.shape[1] == 3
    iterations, divergences = zip(*factors.objectives, strict=True)
    assert iterations[0] == 0
    assert divergences[-1] < 0.5 * divergences[0]
    strongest = np.argmax(factors.activations[:, 1]) * factors.hop_seconds
    assert min(abs(strongest - 0.14 * step) for step in (4, 12, 20, 28)) < 0.03  # a snare's beat


def test_what_holds_no_drums_is_said_and_a_loop_is_not():
    rate, rng = 16000, np.random.default_rng(0)
    time = np.arange(6 * rate) / rate
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.7 * time)
    organ = swell * sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277, 330, 440))
    hits = rng.standard_normal(len(time)) * np.exp(-20 * (time % 0.25))
    lines = []
    with heard_by(lines.append):
        NMF(mode="drums").separate(hits.astype(np.float32), rate)
        NMF(mode="drums").separate(organ[: rate // 2].astype(np.float32), rate)
    assert lines == []
    with heard_by(lines.append):
        NMF(mode="drums").separate(organ.astype(np.float32), rate)
    (line,) = lines
    assert line.startswith("nmf: only ")
    assert "this is no drum loop, or others play along" in line
