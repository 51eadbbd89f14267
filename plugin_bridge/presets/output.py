"""``[output]`` of preset files: how results are written; what tables say of wrong keys and values."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from plugin_bridge.audio.outputs import STEM_CODECS, BitDepth, OutputFormat
from plugin_bridge.errors import JobError, PresetError
from plugin_bridge.naming import DEFAULT_TEMPLATE, Template
from separators.near import did_you_mean


class Table(BaseModel):
    """A table that takes the keys it names, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)


Layout = Literal["files", "multichannel", "stem.mp4"]


class Output(Table):
    """``[output]``: how results are written. What is left out follows the input or the command line."""

    format: OutputFormat = "wav"
    bit_depth: BitDepth | None = None
    """None: the input's, or better."""
    layout: Layout = "files"
    name: str = DEFAULT_TEMPLATE
    """The template of the files' names; see :mod:`plugin_bridge.naming`."""
    stems: list[str] | None = None
    """The stems to write; None: all."""

    def changed(self, **values: Any) -> Output:
        """With those of ``values`` that are not None; raises :class:`PresetError`."""
        said = {key: value for key, value in values.items() if value is not None}
        if str(said.get("bit_depth")).isdecimal():
            said["bit_depth"] = int(said["bit_depth"])
        if "stems" in said:
            said["stems"] = list(said["stems"])
        try:
            return Output.model_validate({**self.model_dump(), **said})
        except ValidationError as error:
            raise PresetError(first_error(error, Output)) from None

    @property
    def codec(self) -> str:
        """The format that is written: in a stem.mp4 ALAC, unless AAC is asked for."""
        return "alac" if self.layout == "stem.mp4" and self.format == "wav" else self.format

    @model_validator(mode="after")
    def _stem_mp4(self) -> Output:
        if (self.codec in STEM_CODECS) != (self.layout == "stem.mp4"):
            raise ValueError(
                f"layout stem.mp4 holds {' or '.join(STEM_CODECS)}, and nothing else does; "
                f"format {self.format} with layout {self.layout} cannot be written"
            )
        return self

    @field_validator("name")
    @classmethod
    def _template(cls, value: str) -> str:
        try:
            Template(value)
        except JobError as error:
            raise ValueError(str(error)) from None
        return value


def _on_one_line(key: str) -> str:
    """A key as it is, or as Python writes it if it holds line breaks and the like."""
    return key if key.isprintable() else repr(key)[1:-1]


def first_error(error: ValidationError, model: type[BaseModel]) -> str:
    """``key: what is wrong; what would be right`` of the first thing that pydantic found in a ``model``."""
    first = error.errors(include_url=False)[0]
    key = "".join(
        f"[{part}]" if isinstance(part, int) else f".{_on_one_line(part)}" for part in first["loc"]
    ).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        message = "is missing"
    if first["type"] == "extra_forbidden":
        parent: type[Any] = model
        for part in first["loc"][:-1]:
            parent = parent.model_fields[part].annotation
        known = list(parent.model_fields)
        message = f"no such key{did_you_mean(str(first['loc'][-1]), known)}; there are: {', '.join(known)}"
    elif first["type"] != "value_error" and isinstance(first.get("input"), bool | int | float | str):
        message = f"{message[:1].lower()}{message[1:]}, not {first['input']!r}"
    return f"{key}: {message}" if key else message
