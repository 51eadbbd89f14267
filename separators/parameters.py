"""Parameter tables: declared once in a separator's class body, used everywhere.

    class NMF(Separator):
        mode: str = parameter(default="blind", help="What is known of the stems.", choices=tuple(MODES))
        stems: int = parameter(
            default=4, help="Number of stems.", serves={"mode": ("blind",)}, minimum=1, maximum=16
        )

Validation, constructors' signatures, preset files, ``--help`` and the reference page all read these tables.
Type checkers read the class bodies (:pep:`681`), which is why ``default`` is said by name.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, TypeVar, cast

from separators.errors import ParameterError


class Content(ABC):
    """A value that stands for more than its text: what a file holds, named by its path.

    Immutable, comparable and picklable, so that a separator with it still travels to workers.
    """

    @classmethod
    @abstractmethod
    def from_text(cls, text: str) -> Self:
        """The value that ``text``, in a preset for instance, names; raises :class:`ParameterError`."""

    @abstractmethod
    def __str__(self) -> str:
        """The text it was made from; empty if it was not."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the content, wherever it lies."""


Value = bool | int | float | str | Content
T = TypeVar("T", bool, int, float, str)
C = TypeVar("C", bound=Content)
Serves = Mapping[str, tuple[Value, ...]]
"""Other parameters and their values with any of which a parameter has an effect."""


class Form(NamedTuple):
    """What a text must look like."""

    pattern: str
    """A regular expression for all of it."""
    words: str
    """The same for people."""


class Held(Protocol[C]):
    """To type checkers, an attribute that reads as a :class:`Content` and may be set as its text, too."""

    def __get__(self, instance: object, owner: type) -> C: ...

    def __set__(self, instance: object, value: C | str) -> None: ...


@dataclass
class Parameter:
    """One row of a parameter table: what a value may be, its unit and its meaning.

    ``minimum`` and ``maximum`` are inclusive. ``unit`` is empty for plain numbers.
    """

    default: Value
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Value, ...] = ()
    file: bool = False
    """Whether the value, if it is not empty, names a file or folder that the result is made from."""
    words: tuple[str, ...] = ()
    """What may stand in place of a number: ``auto``."""
    serves: Serves = field(default_factory=dict)
    """Where it has an effect: parameter -> values, any one of which is enough. Empty: everywhere."""
    form: Form | None = None
    """What a text must look like; None: anything."""
    decides: bool = True
    """Whether the stems depend on it; not on where they are worked out, for instance."""
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def type(self) -> type:
        """The Python type of the value: ``bool``, ``int``, ``float``, ``str``, or a :class:`Content`'s."""
        return type(self.default)

    @property
    def accepted(self) -> Any:
        """What may be given: :attr:`type`, of a :class:`Content` also its text, and :attr:`words`."""
        return self.type | str if self.words or issubclass(self.type, Content) else self.type

    @property
    def allowed(self) -> str:
        """What may be set, in words for error messages and help."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.form:
            return self.form.words
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        kind = words.get(self.type, "a file")
        kind = " or ".join([*self.words, kind])
        low, high = self.minimum, self.maximum
        unit = f" {self.unit}" if self.unit else ""
        if low is not None and high is not None:
            return f"{kind} from {_plain(low)} to {_plain(high)}{unit}"
        if low is not None:
            return f"{kind} of at least {_plain(low)}{unit}"
        if high is not None:
            return f"{kind} of at most {_plain(high)}{unit}"
        return f"{kind}{unit}"

    @property
    def served(self) -> str:
        """Where it has an effect, in words: ``mode blind or semi-supervised``; empty for everywhere."""
        return ", or ".join(f"{key} {_either(values)}" for key, values in self.serves.items())

    @property
    def meaning(self) -> str:
        """The help, and where the parameter has an effect."""
        return f"{self.help} Only with {self.served}." if self.serves else self.help

    def refuse_without_effect(self, values: Mapping[str, Value], owner: str) -> None:
        """Raise :class:`ParameterError` if it is set among ``values`` that leave it no effect."""
        value = values[self.name]
        if value == self.default or not self.serves:
            return
        if not any(values[key] in served for key, served in self.serves.items()):
            shown = str(value) if str(value).isprintable() else repr(value)
            present = " and ".join(f"{key} {values[key]}" for key in self.serves)
            raise ParameterError(
                f"{owner}: {self.name} {shown} needs {self.served}, not {present}; or leave {self.name} out"
            )

    def validate(self, value: Any, owner: str) -> Value:
        """Return ``value`` as this parameter's type, or raise :class:`ParameterError`."""
        checked: Value | None = None
        if isinstance(value, str) and value in self.words:
            return value
        if self.type is bool:
            checked = value if isinstance(value, bool) else None
        elif issubclass(self.type, Content):
            checked = self.type.from_text(value) if isinstance(value, str) else value
            checked = checked if isinstance(checked, self.type) else None
        elif self.type is str:
            checked = value if isinstance(value, str) else None
        elif isinstance(value, bool):
            checked = None
        elif self.type is int:
            checked = int(value) if hasattr(value, "__index__") else None
        elif not isinstance(value, str):
            checked = _finite(value)
        if checked is None or not self._in_range(checked):
            raise ParameterError(f"{owner}: {self.name} must be {self.allowed}, not {value!r}")
        return checked

    def _in_range(self, value: Value) -> bool:
        if self.choices:
            return value in self.choices
        if self.form:
            return re.fullmatch(self.form.pattern, str(value)) is not None
        if isinstance(value, str | Content):
            return True
        return (self.minimum is None or value >= self.minimum) and (
            self.maximum is None or value <= self.maximum
        )


def _finite(value: Any) -> float | None:
    """``value`` as a float, None if it is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _either(values: tuple[Value, ...]) -> str:
    """``a, b or c``."""
    *others, last = map(str, values)
    return f"{', '.join(others)} or {last}" if others else last


def _plain(limit: float) -> str:
    """Whole numbers with all their digits: 2147483647, not 2.14748e+09."""
    return str(int(limit)) if limit == int(limit) else f"{limit:g}"


def parameter(
    *,
    default: T,
    help: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[T, ...] = (),
    file: bool = False,
    words: tuple[str, ...] = (),
    serves: Serves | None = None,
    form: Form | None = None,
    decides: bool = True,
) -> T:
    """Declare a parameter in a class body; on an instance the attribute is its value.

    ``words`` may stand in place of a number.
    ``serves`` says with which values of other parameters it has an effect: elsewhere it is refused.
    ``form`` says what a text must look like, ``decides`` whether the stems depend on the value.
    """
    row = Parameter(
        default, help, unit, minimum, maximum, tuple(choices), file, words, serves or {}, form, decides
    )
    return cast(T, row)


def content(*, default: C, help: str) -> Held[C]:
    """Declare a parameter whose values are of ``default``'s kind, one without content."""
    return cast(Held[C], Parameter(default, help))
