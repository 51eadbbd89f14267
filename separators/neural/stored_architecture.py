"""Sizes of a network as a weights file holds them: plain values there, tuples and checks here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class StoredArchitecture:
    """Base of what a weights file says of its network; a subclass's fields are its sizes."""

    BEFORE: ClassVar[Mapping[str, Any]] = {}
    """Fields that older files do not name, with the values that their networks were trained with."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; unknown keys are ignored. Raises ValueError for what cannot be."""
        known = {field.name for field in fields(cls)}
        kept = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in values.items()
            if key in known
        }
        made = cls(**{**cls.BEFORE, **kept})
        made.check()
        return made

    def check(self) -> None:
        """Raise ValueError unless a network can be made of this and run."""
        raise NotImplementedError
