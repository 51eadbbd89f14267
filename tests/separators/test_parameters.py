import inspect
from copy import copy
from dataclasses import dataclass

import numpy as np
import pytest

from separators.base import Separator
from separators.errors import ParameterError
from separators.parameters import Content, Held, Parameter, content, parameter


@dataclass(frozen=True)
class Tune(Content):
    text: str = ""

    @classmethod
    def from_text(cls, text):
        return cls(text)

    def __str__(self):
        return self.text

    @property
    def fingerprint(self):
        return self.text


class Knobs(Separator):
    name = "knobs"
    summary = "a test"
    count: int = parameter(default=3, help="How many.", minimum=1, maximum=9)
    amount: float = parameter(default=0.5, help="How much.", unit="dB", minimum=0)
    ceiling: float = parameter(default=0.0, help="How high.", maximum=1)
    free: float = parameter(default=0.0, help="Anything.")
    mode: str = parameter(default="slow", help="How.", choices=("slow", "fast"))
    size: int = parameter(default=512, help="Which.", choices=(512, 1024))
    on: bool = parameter(default=True, help="Whether.")
    path: str = parameter(default="", help="Where.")
    turns: int = parameter(default=1, help="How often.", serves={"mode": ("fast",), "on": (False,)})
    tune: Held[Tune] = content(default=Tune(), help="Which tune.")

    def __post_init__(self):
        if self.count == 9 and self.mode == "fast":
            raise ParameterError("knobs: count must be below 9 with mode fast, not 9")

    def stem_names(self, channels):
        return ("all",)

    def fit(self, sample, sample_rate):
        return lambda block: block[np.newaxis]


def test_values_default_to_the_table_and_may_be_set():
    assert Knobs().values == {
        "count": 3,
        "amount": 0.5,
        "ceiling": 0.0,
        "free": 0.0,
        "mode": "slow",
        "size": 512,
        "on": True,
        "path": "",
        "turns": 1,
        "tune": Tune(),
    }
    assert Knobs(count=5, mode="fast").values == {**Knobs().values, "count": 5, "mode": "fast"}


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("count", np.int64(4), 4),
        ("amount", 2, 2.0),
        ("amount", np.float32(0.25), 0.25),
        ("free", -1e300, -1e300),
        ("size", 1024, 1024),
        ("path", "a b", "a b"),
    ],
)
def test_values_become_the_parameters_own_type(key, given, kept):
    value = Knobs(**{key: given}).values[key]
    assert value == kept
    assert type(value) is type(kept)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("count", 0, "knobs: count must be a whole number from 1 to 9, not 0"),
        ("count", 10, "from 1 to 9, not 10"),
        ("count", 2.5, "a whole number from 1 to 9, not 2.5"),
        ("count", "3", "not '3'"),
        ("count", True, "not True"),
        ("count", None, "not None"),
        ("amount", -0.1, "amount must be a number of at least 0 dB, not -0.1"),
        ("amount", float("nan"), "not nan"),
        ("amount", float("inf"), "not inf"),
        ("amount", "loud", "not 'loud'"),
        ("amount", False, "not False"),
        ("amount", 10**400, "amount must be a number of at least 0 dB"),
        ("amount", np.ones(2), "amount must be a number of at least 0 dB"),
        ("amount", 1j, "amount must be a number of at least 0 dB"),
        ("ceiling", 1.5, "ceiling must be a number of at most 1, not 1.5"),
        ("free", "x", "free must be a number, not 'x'"),
        ("mode", "medium", "mode must be one of slow, fast, not 'medium'"),
        ("mode", 1, "not 1"),
        ("size", 513, "size must be one of 512, 1024, not 513"),
        ("size", 512.0, "not 512.0"),
        ("on", 1, "on must be true or false, not 1"),
        ("on", "yes", "not 'yes'"),
        ("path", 5, "path must be text, not 5"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_values_say_what_is_allowed(key, value, message):
    with pytest.raises(ParameterError) as error:
        Knobs(**{key: value})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ParameterError, match="knobs: no parameter 'colour'; there are: count, amount"):
        Knobs(colour=1)


def test_a_subclass_keeps_its_parents_parameters_and_may_change_them():
    class More(Knobs):
        name = "more"
        extra: int = parameter(default=1, help="One more.")
        count: int = parameter(default=7, help="How many at most.", minimum=1)

    assert list(More.parameters) == [*Knobs.parameters, "extra"]
    assert More().values == {**Knobs().values, "count": 7, "extra": 1}
    assert Knobs().values["count"] == 3


def test_rows_know_their_name_and_type():
    row = Knobs.parameters["amount"]
    assert isinstance(row, Parameter)
    assert (row.name, row.type, row.unit, row.help) == ("amount", float, "dB", "How much.")


def test_equal_parameters_make_equal_separators():
    assert Knobs(count=4) == Knobs(count=4)
    assert hash(Knobs(count=4)) == hash(Knobs(count=4))
    assert Knobs(count=4) != Knobs()
    assert Knobs() != 1


def test_repr_shows_what_differs_from_the_default_and_evaluates():
    separator = Knobs(count=4, mode="fast", amount=0.5)
    assert repr(separator) == "Knobs(count=4, mode='fast')"
    assert eval(repr(separator)) == separator


def test_the_signature_is_that_of_a_dataclass():
    arguments = inspect.signature(Knobs).parameters
    assert list(arguments) == list(Knobs.parameters)
    assert str(arguments["count"]) == "count: int = 3"
    assert arguments["tune"].annotation == Tune | str
    with pytest.raises(TypeError, match="positional"):
        Knobs(3)


def test_a_constructor_of_its_own_has_its_own_signature():
    class Own(Knobs):
        def __init__(self, first, **values):
            super().__init__(**values)

    class Below(Own):
        pass

    assert list(inspect.signature(Own).parameters) == ["first", "values"]
    assert list(inspect.signature(Below).parameters) == ["first", "values"]
    assert list(inspect.signature(Knobs).parameters) == list(Knobs.parameters)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mode", "x", "knobs: mode must be one of slow, fast, not 'x'"),
        ("moed", 1, r"knobs: no parameter 'moed' \(did you mean 'mode'\?\); there are: count, "),
        ("colour", 1, "knobs: no parameter 'colour'; there are: count, "),
        ("count", True, "knobs: count must be a whole number from 1 to 9, not True"),
        (
            "turns",
            2,
            "knobs: turns 2 needs mode fast, or on False, not mode slow and on True; or leave turns",
        ),
        ("tune", 3, "knobs: tune must be a file, not 3"),
    ],
)
def test_attributes_and_the_constructor_raise_the_same(key, value, message):
    knobs = Knobs(count=4)
    with pytest.raises(ParameterError, match=f"^{message}") as constructor:
        Knobs(**{key: value})
    with pytest.raises(ParameterError) as attribute:
        setattr(knobs, key, value)
    assert str(attribute.value) == str(constructor.value)
    assert knobs == Knobs(count=4)
    assert not hasattr(knobs, "moed")


def test_attributes_become_the_parameters_own_type():
    knobs = Knobs()
    knobs.amount, knobs.count, knobs.tune = 2, np.int64(4), "a tune"
    assert repr(knobs) == "Knobs(count=4, amount=2.0, tune=Tune(text='a tune'))"
    assert type(knobs.count) is int
    assert type(knobs.amount) is float


def test_values_that_do_not_go_together_are_refused_wherever_they_are_set():
    knobs = Knobs(count=9)
    with pytest.raises(ParameterError, match="count must be below 9 with mode fast"):
        knobs.mode = "fast"
    assert knobs.mode == "slow"
    assert knobs.replace(mode="fast", count=8) == Knobs(mode="fast", count=8)
    assert knobs == Knobs(count=9)


def test_a_parameter_without_effect_may_keep_its_default():
    for form in ({"mode": "fast"}, {"on": False}, {"mode": "fast", "on": False}):
        assert Knobs(**form, turns=2).turns == 2
    assert Knobs(turns=1) == Knobs()
    fast = Knobs(mode="fast", turns=2)
    with pytest.raises(ParameterError, match="turns 2 needs mode fast"):
        fast.mode = "slow"


def test_what_else_a_separator_keeps_is_declared_or_begins_with_an_underscore():
    class Keeps(Knobs):
        heard: int = 0

    keeps = Keeps()
    keeps._own, keeps.heard, keeps.block_seconds = 1, 2, 3.0
    for kept in (keeps, copy(keeps)):
        assert (kept._own, kept.heard, kept.block_seconds) == (1, 2, 3.0)
    keeps.count = 5
    assert (keeps._own, keeps.heard, keeps.block_seconds) == (1, 2, 3.0)
    with pytest.raises(ParameterError, match="no parameter 'herd'"):
        keeps.herd = 1


def test_the_meaning_says_where_a_parameter_has_an_effect():
    assert Knobs.parameters["turns"].meaning == "How often. Only with mode fast, or on False."
    assert Knobs.parameters["count"].meaning == "How many."


def test_words_stand_in_place_of_numbers():
    row = Parameter(2, "Voices.", minimum=2, maximum=3, words=("auto",))
    assert row.validate("auto", "x") == "auto"
    assert row.validate(3, "x") == 3
    assert row.accepted == int | str
    for wrong in ("many", "3", 4, True, 2.5):
        with pytest.raises(ParameterError, match="must be auto or a whole number from 2 to 3"):
            row.validate(wrong, "x")
