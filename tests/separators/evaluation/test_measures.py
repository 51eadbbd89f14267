import builtins
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separators.errors import AudioError, SeparatorError
from separators.evaluation import bss_eval_sdr, evaluate, evaluate_sources, measures, median_sdr, sdr, si_sdr
from separators.evaluation.reference import ideal_ratio_mask
from separators.streaming import ArraySource

RATE = 16000
EXACT_DB = 1e-6
BSS_EVAL_DB = 0.3
"""How much 512 free taps gain by fitting the noise of a few seconds."""


def signals(count, seconds=1.0, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, channels, round(seconds * RATE))).astype(np.float32)


def orthogonal_pair():
    """Two signals of unit power without any correlation."""
    t = np.arange(RATE) / RATE
    return np.sqrt(2) * np.sin(2 * np.pi * 100 * t), np.sqrt(2) * np.cos(2 * np.pi * 250 * t)


@given(error=st.floats(1e-3, 10), gain=st.floats(0.01, 100), sign=st.sampled_from([-1, 1]))
def test_si_sdr_is_the_ratio_of_target_and_error_whatever_the_gain(error, gain, sign):
    target, other = orthogonal_pair()
    expected = -20 * np.log10(error)
    assert si_sdr(target, sign * gain * (target + error * other)) == pytest.approx(expected, abs=EXACT_DB)


@given(error=st.floats(1e-3, 10), gain=st.floats(0.01, 100))
def test_sdr_counts_a_wrong_gain_as_error(error, gain):
    target, other = orthogonal_pair()
    expected = -10 * np.log10((1 - gain) ** 2 + (gain * error) ** 2)
    assert sdr(target, gain * (target + error * other)) == pytest.approx(expected, abs=EXACT_DB)


@pytest.mark.parametrize("measure", [si_sdr, sdr])
def test_figures_end_at_120_db(measure):
    target, _ = orthogonal_pair()
    assert measure(target, target) == 120.0
    assert measure(0 * target, 0 * target) == 120.0
    assert measure(0 * target, target) == -120.0


def test_a_silent_estimate_has_nothing_of_the_target():
    target, _ = orthogonal_pair()
    assert si_sdr(target, 0 * target) == -120.0
    assert sdr(target, 0 * target) == 0.0


def test_shapes_must_agree():
    with pytest.raises(AudioError, match=r"\(2, 9\) cannot be measured against a reference of \(2, 10\)"):
        si_sdr(np.ones((2, 10)), np.ones((2, 9)))


def test_bss_eval_forgives_a_filter_and_si_sdr_does_not():
    (target, noise), echo = signals(2, channels=1)[:, 0], np.zeros(200)
    echo[[0, 50, 199]] = 1.0, 0.7, -0.4
    target[-512:] = 0.0  # room for the echo's tail
    heard = np.convolve(target, echo)[: len(target)]
    estimate = heard + 0.1 * np.linalg.norm(heard) / np.linalg.norm(noise) * noise
    assert bss_eval_sdr(target, estimate) == pytest.approx(20.0, abs=BSS_EVAL_DB)
    assert si_sdr(target, estimate) < 3.0


def test_bss_eval_counts_channels_that_have_a_reference():
    reference, other = signals(2)
    reference[1] = 0.0
    estimate = reference + 0.1 * other
    alone = bss_eval_sdr(reference[0], estimate[0])
    assert bss_eval_sdr(reference, estimate) == pytest.approx(alone, abs=EXACT_DB)
    assert bss_eval_sdr(reference, np.zeros_like(reference)) == -120.0
    assert bss_eval_sdr(0 * reference, estimate) == -120.0


def test_bss_eval_without_its_package_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **keywords):
        if name == "fast_bss_eval":
            raise ImportError(name)
        return real(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SeparatorError, match=r'pip install "stembridge\[bench\]"'):
        bss_eval_sdr(np.ones(9), np.ones(9))


def test_report_gives_each_stem_its_figures_between_floor_and_ceiling():
    sources = signals(3)
    sources[0] *= 2
    references = dict(zip(["drums", "bass", "voice"], sources, strict=True))
    estimates = {name: audio + 0.1 * sources.sum(axis=0) for name, audio in references.items()}
    report = evaluate(references, estimates, RATE)
    assert [stem.reference for stem in report.stems] == [stem.estimate for stem in report.stems]
    ideal = ideal_ratio_mask(sources, RATE)
    for stem, source, best in zip(report.stems, sources, ideal, strict=True):
        assert stem.si_sdr == pytest.approx(si_sdr(source, estimates[stem.estimate]), abs=EXACT_DB)
        assert stem.sdr == pytest.approx(sdr(source, estimates[stem.estimate]), abs=EXACT_DB)
        assert stem.floor == pytest.approx(si_sdr(source, sources.sum(axis=0)), abs=EXACT_DB)
        assert stem.ceiling == pytest.approx(si_sdr(source, best), abs=EXACT_DB)
        assert stem.improvement == pytest.approx(stem.si_sdr - stem.floor, abs=EXACT_DB)
        assert stem.bss_eval_sdr is None
    assert report.mean["si_sdr"] == pytest.approx(np.mean([stem.si_sdr for stem in report.stems]))
    assert report.sum_error_db == pytest.approx(20 * np.log10(0.3), abs=1e-4)


def test_bss_eval_is_reported_when_asked_for():
    (source, other) = signals(2)
    report = evaluate({"a": source, "b": other}, {"a": source + 0.1 * other, "b": other}, RATE, bss_eval=True)
    expected = bss_eval_sdr(source, source + 0.1 * other)
    assert report.stems[0].bss_eval_sdr == pytest.approx(expected, abs=EXACT_DB)


def test_other_names_are_matched_by_the_best_permutation():
    sources = signals(4)
    references = dict(zip("abcd", sources, strict=True))
    estimates = {"x": sources[2], "b": sources[3], "y": sources[0], "z": sources[1]}
    matched = {stem.reference: stem.estimate for stem in evaluate(references, estimates, RATE).stems}
    # b keeps its name, though another estimate would fit better; the others find theirs.
    assert (matched["a"], matched["b"], matched["c"]) == ("y", "b", "x")


def test_a_silent_reference_is_left_out_of_the_mean():
    sources = signals(2)
    references = {"sings": sources[0], "rests": 0 * sources[1]}
    report = evaluate(references, {"sings": sources[0], "rests": sources[1]}, RATE, bss_eval=True)
    rests = report.stems[1]
    assert (rests.si_sdr, rests.improvement, rests.sdr, rests.floor, rests.ceiling) == (None,) * 5
    assert report.mean["si_sdr"] == 120.0


def test_all_silent_gives_a_report_without_figures():
    silence = np.zeros((2, 100), np.float32)
    report = evaluate({"a": silence}, {"a": silence}, RATE)
    assert report.mean == dict.fromkeys(report.mean)
    assert report.sum_error_db == -120.0


def test_the_report_is_plain_json():
    sources = signals(2)
    report = evaluate({"a": sources[0], "b": 0 * sources[1]}, {"a": sources[0], "b": sources[1]}, RATE)
    back = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert [stem["reference"] for stem in back["stems"]] == ["a", "b"]
    assert back["stems"][1]["si_sdr"] is None
    assert set(back) == {"stems", "mean", "sum_error_db"}


def test_long_stems_are_measured_in_blocks_as_if_in_one(monkeypatch):
    sources, noise = signals(2, seconds=3.0), signals(2, seconds=3.0, seed=1)
    references = dict(zip("ab", sources, strict=True))
    estimates = dict(zip("ab", sources + 0.2 * noise, strict=True))
    whole = evaluate(references, estimates, RATE)
    monkeypatch.setattr(measures, "BLOCK", 2 * measures.GRID)
    in_blocks = evaluate(references, estimates, RATE)
    for one, other in zip(whole.stems, in_blocks.stems, strict=True):
        for figure in ("si_sdr", "sdr", "floor", "ceiling"):
            assert getattr(one, figure) == pytest.approx(getattr(other, figure), abs=1e-4)


def test_mono_one_dimensional_stems_are_accepted():
    source = signals(1, channels=1)[0, 0]
    assert evaluate({"a": source}, {"a": source.astype(np.float64)}, RATE).mean["sdr"] == 120.0


def test_no_frames_are_no_error():
    empty = np.zeros((1, 0), np.float32)
    assert evaluate({"a": empty}, {"a": empty}, RATE).mean["si_sdr"] is None


def test_missing_and_extra_stems_are_named():
    a, b, c = signals(3)
    with pytest.raises(AudioError, match="without estimate: b; estimates without reference: none"):
        evaluate({"a": a, "b": b}, {"a": a}, RATE)
    with pytest.raises(AudioError, match="without estimate: none; estimates without reference: c"):
        evaluate({"a": a}, {"a": a, "c": c}, RATE)
    with pytest.raises(AudioError, match="no reference"):
        evaluate({}, {}, RATE)


@pytest.mark.parametrize("wrong", [np.ones((1, 100)), np.ones((2, 99))])
def test_other_lengths_and_channels_are_named(wrong):
    right = np.ones((2, 100))
    with pytest.raises(AudioError, match=r"'b' has .*, but the reference 'a' has 2 channels of 100 frames"):
        evaluate({"a": right, "b": wrong}, {"a": right, "b": right}, RATE)


def test_other_rates_are_named():
    audio = np.ones((1, 100), np.float32)
    with pytest.raises(
        AudioError, match=r"estimate 'a' has .* 48000 Hz, but the reference 'a' has .* 44100 Hz"
    ):
        evaluate_sources({"a": ArraySource(audio, 44100)}, {"a": ArraySource(audio, 48000)})


def test_nan_is_an_error():
    audio = np.ones((1, 100), np.float32)
    with pytest.raises(AudioError, match="nan"):
        evaluate({"a": audio}, {"a": audio * np.nan}, RATE)
    with pytest.raises(AudioError, match="NaN or infinity between frames 0 and 100"):
        evaluate_sources({"a": ArraySource(audio, RATE)}, {"a": ArraySource(audio * np.inf, RATE)})


def _songs(channels=2, seconds=5, rate=2000):
    rng = np.random.default_rng(7)
    references = rng.standard_normal((3, channels, seconds * rate + 700)) * rng.uniform(0.1, 1, (3, 1, 1))
    estimates = references + rng.uniform(0.02, 0.4) * rng.standard_normal(references.shape)
    return references, estimates, rate


@pytest.mark.skipif(not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="museval needs ffmpeg")
def test_the_median_sdr_is_that_of_museval():
    museval = pytest.importorskip(
        "museval", reason='museval is not installed: pip install "stembridge[bench]"'
    )
    references, estimates, rate = _songs()
    references[1, :, rate : 2 * rate] = 0  # a second that counts for no stem
    found, *_ = museval.evaluate(
        references.transpose(0, 2, 1), estimates.transpose(0, 2, 1), win=rate, hop=rate, padding=False
    )
    assert np.isnan(found[:, 1]).all()
    np.testing.assert_allclose(
        median_sdr(references, estimates, rate), np.nanmedian(found, axis=1), atol=1e-6
    )


def test_without_a_second_in_which_all_sound_there_is_no_median():
    references, estimates, rate = _songs()
    references[0] = 0
    assert median_sdr(references, estimates, rate) == [None, None, None]
    assert median_sdr(references[:, :, :500], estimates[:, :, :500], rate) == [None, None, None]
