"""What every registered separator promises, whatever it does.

A new separator needs no test here: it is picked up by its name, in its default form and once
for every other choice of a parameter that has choices. Those that run other people's models
are given tiny ones, in the files of the real formats.
"""

import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

import separators
from separators.errors import AudioError, ChannelError, ParameterError, ScoreError, SeparatorWarning
from separators.models.files import ModelError
from separators.models.song import Song
from separators.neural.separator import VoiceSeparator
from separators.neural.wave_u_net import WaveUNet
from separators.score import Note, Part, Score
from separators.streaming import ArraySource, separate_blocks
from tests.separators.models import tiny_models
from tests.separators.nmf.dictionaries import make_named

SUM_DB = -120.0
SAME_DB = -80.0
"""A gain that is no power of two rounds the input differently; iterations may amplify that."""
SECONDS = 1.2
HEAR_VOICES = (VoiceSeparator, Song, WaveUNet)

pytestmark = pytest.mark.filterwarnings("ignore::separators.errors.SeparatorWarning")


SCORE = Score(
    (
        Part("tone", (Note(0.0, 0.4, 57, 100), Note(0.6, 0.5, 57, 90))),
        Part("kit", tuple(Note(0.4 * hit, 0.1, pitch, 100, 9) for hit in range(3) for pitch in (36, 42))),
    )
)
"""What is played in `music`, more or less."""
TOGETHER = {
    "nmf": [
        {"mode": "drums", "drums": "kick, snare, hihat, hihat-open, tom, clap, cymbal, percussion"},
        {"mode": "supervised", "dictionary": make_named()},
        {"mode": "semi-supervised", "dictionary": make_named(), "channels": "panned", "sparsity": 0.1},
    ],
    "nmf-score": [
        {"score": SCORE},
        {"score": SCORE, "split": "channel", "align": True},
        {"score": SCORE, "split": "notes", "notes": "kick=36, a=57"},
    ],
}
"""Choices that need another beside them."""


def forms():
    """Every separator in its default form, and once for each other choice that a parameter offers.

    Modes and algorithms (choices in words) go through all tests, sizes (numbers) only through the first.
    """
    for name in separators.names():
        kind = separators.get(name)
        if name in tiny_models.SEPARATORS:
            if not tiny_models.MISSING.get(name):
                forms = enumerate(tiny_models.SEPARATORS[name])
                yield from ((kind(**values), number == 0) for number, values in forms)
            continue
        if complete(kind()):
            yield kind(), True
        yield from ((kind(**values), True) for values in TOGETHER.get(name, ()))
        for key, row in kind.parameters.items():
            for choice in row.choices:
                if choice != row.default:
                    try:
                        form = kind(**beside(kind, key), **{key: choice})
                    except ParameterError:
                        continue  # it needs another beside it: see TOGETHER
                    if complete(form):
                        yield form, row.type is str


def beside(kind, key):
    """Values of other parameters with which `key` has an effect; none where the defaults are enough."""
    for other, served in kind.parameters[key].serves.items():
        if kind.parameters[other].default in served:
            return {}
    for other, served in kind.parameters[key].serves.items():
        return {**beside(kind, other), other: served[0]}
    return {}


def another(row):
    """A value that `row` allows and that is not its default; None where only the user could know one."""
    if row.choices:
        return next(choice for choice in row.choices if choice != row.default)
    if row.type is bool:
        return not row.default
    if row.type in (int, float):
        return row.type(row.minimum if row.maximum in (row.default, None) else row.maximum)
    return "anything" if row.type is str else None


def complete(separator):
    """Whether it needs nothing beside it, such as a score (see TOGETHER) or a model of the user's own."""
    try:
        separator.stem_names(1)
        separator.files()
    except (ScoreError, ModelError):
        return False
    except ChannelError:
        pass
    return True


def serves(separator, channels):
    try:
        return bool(separator.stem_names(channels))
    except ChannelError:
        return False


def cases(everything):
    return [
        pytest.param(separator, channels, id=f"{separator!r}-{['mono', 'stereo'][channels - 1]}")
        for separator, in_words in forms()
        for channels in (1, 2)
        if (everything or in_words) and serves(separator, channels)
    ]


FORMS = [separator for separator, in_words in forms() if in_words]
each_form = pytest.mark.parametrize("separator", FORMS, ids=repr)
each_case = pytest.mark.parametrize(("separator", "channels"), cases(everything=False))


VOICES = Path(__file__).parent / "neural" / "voices"


def talk(channels, sample_rate):
    """A woman and a man at once, each at a place of their own in the panorama."""
    both = np.stack([soundfile.read(VOICES / f"{name}.flac")[0] for name in ("allison", "carlo")])
    panorama = np.array([[0.9, 0.4], [0.4, 0.9]])[:channels]
    return (panorama @ soxr.resample(both.T, 16_000, sample_rate).T).astype(np.float32)


def music(channels, sample_rate, seconds=SECONDS, seed=0):
    """Tones, thuds and hiss that come and go, each at its own place in the panorama."""
    rng = np.random.default_rng(seed)
    frames = round(seconds * sample_rate)
    t = np.arange(frames) / sample_rate
    sources = np.stack(
        [
            np.sin(2 * np.pi * 220 * t) * (np.sin(2 * np.pi * 1.1 * t) > -0.3),
            np.sin(2 * np.pi * 70 * t) * np.exp(-9 * (t % 0.4)),
            0.3 * rng.standard_normal(frames) * np.exp(-30 * (t % 0.3)),
        ]
    )
    panorama = np.array([[0.9, 0.6, 0.2], [0.3, 0.6, 0.8]])[:channels]
    return (0.2 * panorama @ sources).astype(np.float32)


def hits(channels, sample_rate):
    """As many sources as channels: what to separate is plain, and hangs on no rounding of the input."""
    rng = np.random.default_rng(1)
    frames = round(SECONDS * sample_rate)
    t = np.arange(frames) / sample_rate
    decays = np.stack([np.exp(-8 * (t % 0.5)), np.exp(-8 * ((t + 0.2) % 0.35))])[:channels]
    mixing = np.array([[1.0, 0.5], [0.4, 1.0]])[:channels, :channels]
    return (0.2 * mixing @ (decays * rng.standard_normal((channels, frames)))).astype(np.float32)


def difference_db(one, other):
    return 20 * np.log10(np.linalg.norm(one - other) / np.linalg.norm(other) + 1e-30)


def assert_keeps_promises(stems, mixture, separator):
    assert stems.names == separator.stem_names(len(mixture))
    assert len(set(stems.names)) == len(stems.names)
    assert stems.array.shape == (len(stems.names), *mixture.shape)
    assert stems.array.dtype == np.float32
    assert np.isfinite(stems.array).all()
    if mixture.any():
        assert difference_db(stems.array.sum(axis=0, dtype=np.float64), mixture) <= SUM_DB


@pytest.mark.parametrize("sample_rate", [44100, 48000])
@pytest.mark.parametrize(("separator", "channels"), cases(everything=True))
def test_stems_keep_length_rate_and_channels_and_sum_to_the_mixture(separator, channels, sample_rate):
    mixture = music(channels, sample_rate)
    before = mixture.copy()
    stems = separator.separate(mixture, sample_rate)
    assert stems.sample_rate == sample_rate
    assert_keeps_promises(stems, mixture, separator)
    np.testing.assert_array_equal(mixture, before)


@each_case
def test_stems_differ_from_the_mixture(separator, channels):
    # Separators of voices and songs leave a stem silent where nobody is heard, and the other is the mixture.
    mixture = (talk if isinstance(separator, HEAR_VOICES) else music)(channels, 44100)
    stems = separator.separate(mixture, 44100)
    # Somewhere every stem but silent ones must depart from a plain share of the mixture.
    for stem in stems.values():
        share = np.vdot(stem, mixture) / np.vdot(mixture, mixture)
        if stem.any() and len(stems) > 1:
            assert difference_db(share * mixture, stem) > -60.0


@each_case
def test_silence_gives_silence(separator, channels):
    silence = np.zeros((channels, 30000), np.float32)
    stems = separator.separate(silence, 44100)
    assert_keeps_promises(stems, silence, separator)
    assert not stems.array.any()


@each_case
def test_a_gain_on_the_mixture_is_the_same_gain_on_the_stems(separator, channels):
    mixture = music(channels, 44100)
    stems = separator.separate(mixture, 44100).array
    np.testing.assert_array_equal(separator.separate(np.float32(0.125) * mixture, 44100).array, 0.125 * stems)
    mixture, gain = hits(channels, 44100), np.float32(3.3)
    stems = separator.separate(mixture, 44100).array
    assert difference_db(separator.separate(gain * mixture, 44100).array, gain * stems) <= SAME_DB


@each_case
def test_turned_polarity_turns_the_stems(separator, channels):
    mixture = music(channels, 44100)
    turned = separator.separate(-mixture, 44100).array
    assert difference_db(turned, -separator.separate(mixture, 44100).array) <= SAME_DB


@each_case
def test_the_same_again_is_the_same_to_the_bit(separator, channels):
    mixture = music(channels, 44100)
    once = separator.separate(mixture, 44100).array
    separator.separate(music(channels, 44100, seed=9), 44100)  # what was separated in between leaves no trace
    again = type(separator)(**separator.values).separate(mixture, 44100).array
    np.testing.assert_array_equal(separator.separate(mixture, 44100).array, once)
    np.testing.assert_array_equal(again, once)


@each_case
def test_a_pickled_separator_is_the_same(separator, channels):
    copy = pickle.loads(pickle.dumps(separator))
    assert copy == separator
    assert repr(copy) == repr(separator)
    mixture = music(channels, 44100, seconds=0.5)
    np.testing.assert_array_equal(
        copy.separate(mixture, 44100).array, separator.separate(mixture, 44100).array
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@each_case
def test_non_finite_frames_are_an_error(separator, channels, value):
    mixture = music(channels, 44100, seconds=0.3)
    mixture[-1, 1234] = value
    with pytest.raises(AudioError, match=f"holds {value} at frame 1234 of channel {channels}"):
        separator.separate(mixture, 44100)


@pytest.mark.parametrize("frames", [0, 1, 2, 100, 2047])
@each_case
def test_very_short_mixtures_work(separator, channels, frames):
    mixture = np.ascontiguousarray(music(channels, 44100)[:, 4000 : 4000 + frames])
    assert_keeps_promises(separator.separate(mixture, 44100), mixture, separator)


@pytest.mark.parametrize("sample_rate", [8000, 22050, 96000])
@each_case
def test_other_rates_work(separator, channels, sample_rate):
    mixture = music(channels, sample_rate, seconds=0.6)
    assert_keeps_promises(separator.separate(mixture, sample_rate), mixture, separator)


@each_case
def test_sound_after_long_silence_and_a_click_keep_the_promises(separator, channels):
    mixture = np.zeros((channels, 60000), np.float32)
    mixture[:, 40000:] = music(channels, 44100)[:, :20000]
    mixture[0, 100] = 1.0
    assert_keeps_promises(separator.separate(mixture, 44100), mixture, separator)


@each_form
def test_one_silent_channel_keeps_the_promises(separator):
    if not serves(separator, 2):
        pytest.skip("serves mono only")
    mixture = music(2, 44100)
    mixture[1] = 0.0
    stems = separator.separate(mixture, 44100)
    assert_keeps_promises(stems, mixture, separator)
    assert not stems.array[:, 1].any()


@each_case
def test_block_by_block_the_stems_still_sum_and_keep_the_length(separator, channels):
    # Three seconds and a bit in blocks of half a second, fitted on one second of them.
    in_blocks = type(separator)(**separator.values)
    in_blocks.block_seconds, in_blocks.overlap_seconds, in_blocks.fit_seconds = 0.5, 0.1, 1.0
    mixture = music(channels, 44100, seconds=3.1)
    pieces = list(separate_blocks(in_blocks, ArraySource(mixture, 44100)))
    assert len(pieces) > 4
    joined = separators.Stems(separator.stem_names(channels), np.concatenate(pieces, axis=2), 44100)
    assert_keeps_promises(joined, mixture, separator)


@each_form
def test_unserved_channel_counts_are_refused_with_one_line(separator):
    for channels in (1, 2, 6):
        if not serves(separator, channels):
            with pytest.raises(ChannelError) as error:
                separator.separate(np.ones((channels, 100), np.float32), 44100)
            assert separator.name in str(error.value)
            assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", tiny_models.SEPARATORS)
def test_other_peoples_models_are_among_those_tested(name):
    if reason := tiny_models.MISSING.get(name):
        pytest.skip(reason)
    assert any(separator.name == name for separator in FORMS)


@pytest.mark.parametrize("name", separators.names())
def test_names_and_parameter_tables_are_complete(name):
    kind = separators.get(name)
    assert kind.name == name
    assert kind.summary
    assert "\n" not in kind.summary
    assert kind.summary == separators.summary(name)
    assert kind.__doc__
    for key, row in kind.parameters.items():
        assert row.name == key
        assert row.help.endswith("."), f"{key}: the help is a sentence"
        assert row.validate(row.default, name) == row.default
        for value in (row.minimum, row.maximum):
            if value is not None:
                assert row.validate(row.type(value), name) == value
        if row.type in (int, float) and not row.choices:
            assert row.minimum is not None or row.maximum is not None, f"{key}: a number needs a range"
        for value in row.choices:
            assert row.validate(value, name) == value


@pytest.mark.parametrize("name", separators.names())
def test_values_out_of_range_name_the_parameter_and_what_is_allowed(name):
    kind = separators.get(name)
    for key, row in kind.parameters.items():
        wrong = []
        if row.minimum is not None:
            wrong.append(row.type(row.minimum) - 1)
        if row.maximum is not None:
            wrong.append(row.type(row.maximum) + 1)
        if row.choices:
            wrong.append(row.type("no such choice") if row.type is str else -12345)
        for value in wrong:
            with pytest.raises(ParameterError) as error:
                kind(**{key: value})
            assert f"{name}: {key} must be {row.allowed}" in str(error.value)


@pytest.mark.parametrize("name", separators.names())
def test_the_signature_lists_the_parameters_with_their_defaults(name):
    kind = separators.get(name)
    arguments = inspect.signature(kind).parameters
    assert {key: argument.default for key, argument in arguments.items()} == kind().values
    assert all(argument.kind is argument.KEYWORD_ONLY for argument in arguments.values())


@pytest.mark.parametrize("name", separators.names())
def test_a_misspelt_parameter_is_refused_with_the_near_one(name):
    kind = separators.get(name)
    separator = kind()
    for key in kind.parameters:
        wrong = key[:-2] + key[:-3:-1]  # the last two letters the wrong way round
        said = f"{name}: no parameter '{wrong}' .did you mean '.*'.*; there are: .*{key}"
        with pytest.raises(ParameterError, match=said):
            kind(**{wrong: kind.parameters[key].default})
        with pytest.raises(ParameterError, match=said):
            setattr(separator, wrong, kind.parameters[key].default)
    assert vars(separator) == vars(kind())


@each_form
def test_attributes_are_checked_like_the_constructors_values(separator):
    changed = separator.replace()
    for key, row in separator.parameters.items():
        setattr(changed, key, separator.values[key])
        with pytest.raises(ParameterError) as said:
            setattr(changed, key, ("no", "value"))
        assert f"{separator.name}: {key} must be {row.allowed}, not ('no', 'value')" in str(said.value)
    assert changed == separator
    assert changed.block_seconds == separator.block_seconds


@pytest.mark.parametrize("name", separators.names())
def test_a_parameter_without_effect_is_refused(name):
    kind = separators.get(name)
    for key, row in kind.parameters.items():
        if not row.serves or another(row) is None:
            continue
        value, idle = another(row), {}
        for other, served in row.serves.items():
            choices = kind.parameters[other].choices
            assert set(served) < set(choices), f"{key} serves values that {other} has not, or all of them"
            idle[other] = next(choice for choice in choices if choice not in served)
            idle = {**beside(kind, other), **idle}
        if all(kind.parameters[other].default in served for other, served in row.serves.items()):
            kind(**{key: value})
        with pytest.raises(ParameterError) as said:
            kind(**idle, **{key: value})
        assert f"{name}: {key} {value} needs {row.served}, not " in str(said.value)
        assert "\n" not in str(said.value)


def test_a_warning_is_no_error_of_the_interpreter():
    assert issubclass(SeparatorWarning, UserWarning)
