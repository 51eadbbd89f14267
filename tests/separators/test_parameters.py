import numpy as np
import pytest

from separators.base import Separator
from separators.errors import ParameterError
from separators.parameters import Parameter, parameter


class Knobs(Separator):
    name = "knobs"
    summary = "a test"
    count: int = parameter(3, "How many.", minimum=1, maximum=9)
    amount: float = parameter(0.5, "How much.", unit="dB", minimum=0)
    ceiling: float = parameter(0.0, "How high.", maximum=1)
    free: float = parameter(0.0, "Anything.")
    mode: str = parameter("slow", "How.", choices=("slow", "fast"))
    size: int = parameter(512, "Which.", choices=(512, 1024))
    on: bool = parameter(True, "Whether.")
    path: str = parameter("", "Where.")

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
        extra: int = parameter(1, "One more.")
        count: int = parameter(7, "How many at most.", minimum=1)

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
