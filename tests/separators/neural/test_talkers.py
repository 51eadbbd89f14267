"""Phrases on the stems of who says them: what is moved, what is left, from block to block, at any rate."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from separators.neural.network import HOP, SAMPLE_RATE
from separators.neural.talkers import (
    FADE,
    LONGEST,
    SHORTEST,
    SMOOTH,
    Move,
    Talkers,
    move,
    phrases,
    power_around,
    speech_level,
)

SECOND = SAMPLE_RATE // HOP * HOP
SAME = 1e-6
"""Largest difference of samples that ought to be equal."""
NOTES = {"a": 400.0, "b": 1500.0, "c": 5000.0}


class Ear:
    """In place of a trained network: tells voices by where their spectra lie, never mind how they change."""

    dimensions = 64
    device = torch.device("cpu")

    def __call__(self, levels, hops):
        mean = torch.stack([one[:, :count].mean(1) for one, count in zip(levels, hops.tolist(), strict=True)])
        return torch.nn.functional.normalize((10 ** (2 * mean)).sqrt(), dim=1)


def said(text, stems=2, pause=0.3, seconds=1.5):
    """Stems ``(stems, frames)``, the first for a, ...; ``text`` names who talks in each phrase."""
    frames, gap = round(seconds * SAMPLE_RATE), round(pause * SAMPLE_RATE)
    out = np.zeros((stems, len(text) * (frames + gap)), np.float32)
    rng = np.random.default_rng(0)
    for number, voice in enumerate(text):
        start = number * (frames + gap)
        time = np.arange(frames) / SAMPLE_RATE
        tone = 0.1 * np.sin(2 * np.pi * NOTES[voice] * time * (1 + 0.01 * rng.standard_normal()))
        out["abc".index(voice), start : start + frames] = tone
    return out


def swapped(stems, phrases, one=0, other=1, pause=0.3, seconds=1.5):
    """``stems`` with those of these numbers on each other's stems."""
    length = round(seconds * SAMPLE_RATE) + round(pause * SAMPLE_RATE)
    out = stems.copy()
    for number in phrases:
        place = slice(number * length, (number + 1) * length)
        out[[one, other], place] = out[[other, one], place]
    return out


def put_right(stems, talkers=None, new=0):
    talkers = talkers or Talkers(len(stems), Ear.dimensions)
    out = stems.copy()
    move(out, talkers.moves(Ear(), out, new))
    return out


def heard(stems):
    power = power_around(stems)
    return phrases(power, speech_level(power))


def off_side(stems, expected):
    """Energy on stems where none belongs, as a part of all of it."""
    energy = np.square(stems[expected == 0], dtype=np.float64).sum()
    return energy / np.square(expected, dtype=np.float64).sum()


def test_a_phrase_on_the_wrong_stem_is_moved():
    right = said("ababab")
    wrong = swapped(right, [2])
    np.testing.assert_allclose(put_right(wrong), right, atol=SAME)
    assert off_side(wrong, right) > 0.1


def test_what_is_right_stays_as_it_is():
    right = said("abbabaab")
    assert np.array_equal(put_right(right), right)


@given(st.text("ab", max_size=4), st.data())
def test_each_voice_comes_on_one_stem(more, data):
    voices = data.draw(st.permutations("aaabbb" + more))
    wrong = data.draw(st.sets(st.integers(0, len(voices) - 1)))
    first = [(voice == "a") != (number in wrong) for number, voice in enumerate(voices)]
    assume(2 <= sum(first) <= len(voices) - 2)  # where one stem has all of so little, nothing is moved
    right = said("".join(voices), seconds=1.0)
    found = put_right(swapped(right, wrong, seconds=1.0))
    np.testing.assert_allclose(found.sum(0), right.sum(0), atol=SAME)
    assert min(off_side(found, right), off_side(found[::-1], right)) < 1e-3


def test_who_talks_alone_stays_whole():
    right = said("aaaaaaaa")
    assert np.array_equal(put_right(right), right)
    torn = swapped(right, [1, 2, 5])  # by phrases of one voice nobody is known from somebody else
    assert np.array_equal(put_right(torn), torn)


def on_one_stem(stems):
    return np.stack([stems.sum(0), np.zeros_like(stems[0])])


@given(st.text("ab", max_size=4).flatmap(lambda more: st.permutations("aaaaabbbb" + more)))
def test_two_people_on_one_stem_come_apart(voices):
    right = said("".join(voices))
    together = on_one_stem(right)
    found = put_right(together)
    np.testing.assert_allclose(found.sum(0), right.sum(0), atol=SAME)
    assert min(off_side(found, right), off_side(found[::-1], right)) < 1e-3
    more = max(right, key=lambda stem: np.square(stem).sum())
    assert np.abs(found[0] - more).max() < SAME or voices.count("a") == voices.count("b")  # it stays


@pytest.mark.parametrize("text", ["ababab", "aaaaaaaaaab", "aaaaaaaaaaa"])
def test_one_stem_stays_whole_if_little_tells_of_two_people(text):
    together = on_one_stem(said(text))
    assert np.array_equal(put_right(together), together)


def torn(stems, phrases, share=0.5, pause=0.3, seconds=1.5):
    """``stems`` with ``share`` of these phrases on the first and the rest on the second."""
    length = round(seconds * SAMPLE_RATE) + round(pause * SAMPLE_RATE)
    out = stems.copy()
    for number in phrases:
        place = slice(number * length, (number + 1) * length)
        whole = out[:2, place].sum(0)
        out[0, place], out[1, place] = share * whole, (1 - share) * whole
    return out


@given(st.sets(st.sampled_from([0, 1, 4, 5, 7])), st.floats(0.35, 0.65))
def test_a_phrase_that_was_torn_comes_on_the_stem_of_who_says_it(phrases, share):
    right = said("abababba")
    np.testing.assert_allclose(put_right(torn(right, phrases, share)), right, atol=SAME)


def test_if_all_was_torn_two_people_come_apart():
    right = said("aabbabaabb")
    found = put_right(torn(right, range(10)))
    np.testing.assert_allclose(found.sum(0), right.sum(0), atol=SAME)
    assert min(off_side(found, right), off_side(found[::-1], right)) < 1e-3


def test_one_who_was_torn_all_the_time_is_one_person():
    talkers = Talkers(2, Ear.dimensions)
    some = torn(said("aaaa"), range(4))
    assert np.array_equal(put_right(some, talkers), some)
    assert talkers.one_person.gone == []
    put_right(torn(said("aaaaaaaaaa"), range(10)), talkers)
    (gone,) = talkers.one_person.gone
    assert talkers.hops[gone] == 0 < talkers.hops[1 - gone]  # and known in the next block


def test_of_three_voices_the_third_has_nothing_of_what_was_torn():
    right = said("abcabcabcabc", stems=3)
    np.testing.assert_allclose(put_right(torn(right, [3, 7])), right, atol=SAME)


def test_music_is_not_taken_for_two_people():
    together = on_one_stem(said("aabababbab"))
    assert Talkers(2, Ear.dimensions).moves(Ear(), together, only_voices=False) == []
    assert Talkers(2, Ear.dimensions).moves(Ear(), together) != []


def test_who_comes_later_leaves_the_stem_of_who_is_known():
    talkers = Talkers(2, Ear.dimensions)
    first = on_one_stem(said("aaa"))
    assert np.array_equal(put_right(first, talkers), first)
    right = said("babbabbab")
    np.testing.assert_allclose(put_right(on_one_stem(right), talkers), right, atol=SAME)


def test_voices_are_known_in_the_next_block():
    talkers = Talkers(2, Ear.dimensions)
    first, second = said("abab"), said("bba")
    assert np.array_equal(put_right(first, talkers), first)
    np.testing.assert_allclose(put_right(second[::-1].copy(), talkers), second, atol=SAME)


def test_noise_far_below_is_nobody():
    talkers = Talkers(2, Ear.dimensions)
    put_right(said("abab"), talkers)
    known = talkers.known.copy()
    noise = 1e-4 * np.random.default_rng(0).standard_normal((2, 5 * SAMPLE_RATE)).astype(np.float32)
    assert np.array_equal(put_right(noise, talkers), noise)
    assert np.array_equal(talkers.known, known)


def test_what_is_heard_in_front_is_known_too():
    both = np.concatenate([said("abab"), said("bba")[::-1]], 1)
    new = said("abab").shape[1]
    moves = Talkers(2, Ear.dimensions).moves(Ear(), both, new)
    found = both[:, new:].copy()
    move(found, moves)
    np.testing.assert_allclose(found, said("bba"), atol=SAME)


def test_of_three_voices_two_change_places():
    right = said("abcabcabc", stems=3)
    wrong = swapped(right, [4, 8], 1, 2)
    wrong = swapped(wrong, [3], 0, 2)
    np.testing.assert_allclose(put_right(wrong), right, atol=SAME)


@pytest.mark.parametrize("gain", [1e-4, -1.0, 30.0])
def test_level_and_polarity_do_not_matter(gain):
    wrong = swapped(said("ababab"), [2, 3])
    expected = Talkers(2, Ear.dimensions).moves(Ear(), wrong)
    assert expected
    assert Talkers(2, Ear.dimensions).moves(Ear(), np.float32(gain) * wrong) == expected


@pytest.mark.parametrize("frames", [0, 1, HOP, 20 * HOP])
def test_silence_and_shreds_hold_no_phrases(frames):
    assert heard(np.zeros((2, frames), np.float32)) == []
    assert Talkers(2, Ear.dimensions).moves(Ear(), np.zeros((2, frames), np.float32)) == []


def test_phrases_are_where_one_talks_alone():
    stems = np.zeros((2, 10 * SECOND), np.float32)
    rng = np.random.default_rng(0)
    stems[0, SECOND : 4 * SECOND] = 0.1 * rng.standard_normal(3 * SECOND)
    stems[1, 3 * SECOND : 7 * SECOND] = 0.1 * rng.standard_normal(4 * SECOND)
    hops = SECOND // HOP
    found = heard(stems)
    assert all(SHORTEST <= phrase.end - phrase.start <= LONGEST for phrase in found)
    for stem, (start, end) in enumerate(((hops, 3 * hops), (4 * hops, 7 * hops))):
        own = [phrase for phrase in found if (phrase.stem, phrase.other) == (stem, None)]
        assert all(one.end == other.start for one, other in itertools.pairwise(own))
        assert abs(own[0].start - start) < SMOOTH
        assert abs(own[-1].end - end) < SMOOTH
    together = [phrase for phrase in found if phrase.other is not None]
    assert {(phrase.stem, phrase.other) for phrase in together} == {(0, 1)}
    assert abs(together[0].start - 3 * hops) < SMOOTH
    assert abs(together[-1].end - 4 * hops) < SMOOTH


def test_two_who_talk_at_once_change_places_too():
    right = said("ababab")
    length = right.shape[1] // 6
    right[0, 3 * length : 4 * length] = right[0, 2 * length : 3 * length]  # a and b at once
    wrong = swapped(right, [3, 4])
    np.testing.assert_allclose(put_right(wrong), right, atol=SAME)


def test_long_phrases_are_cut_in_pauses():
    rng = np.random.default_rng(0)
    stems = np.zeros((2, 6 * SECOND), np.float32)
    stems[0] = 0.1 * rng.standard_normal(6 * SECOND)
    pauses = (1.7, 3.3, 4.6)
    for pause in pauses:
        stems[0, round((pause - 0.05) * SECOND) : round((pause + 0.05) * SECOND)] = 0
    cuts = [phrase.end * HOP / SAMPLE_RATE for phrase in heard(stems)]
    for pause in pauses:
        assert min(abs(cut - pause) for cut in cuts) < 0.1


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 192_000])
def test_moves_keep_the_sum_at_any_rate_and_number_of_channels(rate):
    rng = np.random.default_rng(0)
    stems = rng.standard_normal((3, 2, rate)).astype(np.float32)
    moved = stems.copy()
    move(moved, [Move(4000, 12_000, 0, 2)], rate / SAMPLE_RATE)
    np.testing.assert_allclose(moved.sum(0), stems.sum(0), atol=1e-5)
    inside = slice(
        round((4000 + FADE) * rate / SAMPLE_RATE) + 1, round((12_000 - FADE) * rate / SAMPLE_RATE) - 1
    )
    np.testing.assert_allclose(moved[0, :, inside], stems[2, :, inside], atol=1e-6)
    np.testing.assert_allclose(moved[2, :, inside], stems[0, :, inside], atol=1e-6)
    outside = np.r_[0 : rate // 4, rate - rate // 4 : rate]
    assert np.array_equal(moved[..., outside], stems[..., outside])
    assert np.array_equal(moved[1], stems[1])
