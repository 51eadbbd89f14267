"""Writes docs/api.md from the docstrings of what ``plugin_bridge`` offers. ``make reference`` runs it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import plugin_bridge
from plugin_bridge import api

API = Path(__file__).parent / "api.md"
CHAPTERS = {
    "Calls": (
        "render", "separate", "process", "bounce", "batch", "write_report", "open_session", "load_preset",
        "save_preset",
    ),
    "Results": ("Results", "Result", "TrackResult", "StemFile"),
    "Plug-ins and presets": (
        "Board", "StemRack", "StemMix", "SeparatorPlugin", "PythonPlugin", "HostedPlugin", "HostedInstrument",
        "SoundFontInstrument", "Automated", "Curve", "Follower", "sidechains", "StreamedChain", "Preset",
    ),
    "Sessions": ("Session", "Track"),
    "Errors": (
        "BridgeError", "AudioFileError", "SessionError", "PresetError", "PluginError", "JobError",
        "JobsFailedError",
    ),
}  # fmt: skip
HEAD = """# Python

Written by `make reference` from the docstrings; `make test` fails if it is out of date. The commands make the
same calls.

```python
from plugin_bridge import render

results = render("examples/session", "drum-loop", "stems", tracks="Drums*")
for track in results.tracks:
    print(track.track, track.start_seconds, track.stems["kick"], track.manifest)
```

Progress, and cancelling: whatever the callback raises stops all jobs, which clean up, and comes out of the
call.

```python
from plugin_bridge import JobsFailedError, separate


def progress(job: str, stage: str, fraction: float) -> None:
    print(f"{job}: {stage}, {100 * fraction:.0f} %")


if __name__ == "__main__":  # the workers import this script
    try:
        separate("loops", "drum-loop", "stems", jobs=2, progress=progress)
    except JobsFailedError as error:
        for job in error.results.failed:
            print(job.job, job.error)
```

`plugin_bridge.__version__` and `separators.__version__` are the program's version. The algorithms alone,
without files and sessions, are the package `separators`: `NMF(mode="drums").separate(audio, sample_rate)`,
with the parameters that the [reference](reference.md#separators) lists.
"""


def markdown(text: str) -> str:
    """A docstring's prose: roles and double backquotes become code, doctests and indented text its blocks."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    blocks = []
    for block in text.split("\n\n"):
        if block.startswith((">>>", "    ")):
            block = f"```python\n{textwrap.dedent(block)}\n```"
        blocks.append(block)
    return "\n\n".join(blocks)


def split_fields(doc: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Prose, ``:param x:`` and ``:raises X:`` of a docstring."""
    prose, *fields = re.split(r"^:(?=param |raises )", doc, flags=re.MULTILINE)
    found: dict[str, dict[str, str]] = {"param": {}, "raises": {}}
    for field in fields:
        kind, name, text = re.match(r"(param|raises) (\w+): (.*)", field, re.DOTALL).groups()
        found[kind][name] = markdown(" ".join(text.split()))
    return markdown(prose.strip()), found["param"], found["raises"]


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table; none if there are no rows."""
    if not rows:
        return ""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(header) + "|", *lines[1:]]) + "\n"


def type_text(annotation: Any) -> str:
    """An annotation with the aliases of :mod:`plugin_bridge.api` spelled out."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    aliases = {
        "AnyPath": "str | PathLike",
        "AnyPreset": "str | PathLike | Preset | Board",
        "Callback | Reporter": "Callable[[str, str, float], None]",
        **{
            name: " | ".join(repr(value) for value in get_args(getattr(api, name)))
            for name in ("Format", "BitDepth", "Layout")
        },
    }
    for alias, meaning in aliases.items():
        text = re.sub(rf"\b{re.escape(alias)}\b", meaning.replace("\\", ""), text)
    return text.replace("os.PathLike[str]", "PathLike").replace("'", '"')


def call_section(name: str, call: Callable[..., Any]) -> Iterator[str]:
    """A function: how it is called, what it does, its arguments, what it raises."""
    signature = inspect.signature(call)
    plain = signature.replace(
        parameters=[one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    code = textwrap.fill(
        f"{name}{plain}", 110, subsequent_indent=" " * (len(name) + 1), break_on_hyphens=False
    )
    prose, arguments, raised = split_fields(inspect.getdoc(call) or "")
    yield f"```python\n{code}\n```\n\n{prose}\n"
    shared = split_fields(inspect.getdoc(api.render) or "")[1] if arguments else {}
    yield table(
        ("argument", "type", "meaning"),
        [
            (f"`{key}`", f"`{type_text(one.annotation)}`", arguments.get(key) or shared.get(key, ""))
            for key, one in signature.parameters.items()
            if arguments
        ],
    )
    yield table(("raises", "when"), [(f"`{key}`", text) for key, text in raised.items()])


def attribute_docs(cls: type) -> dict[str, str]:
    """The string that stands below each attribute in the class's source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    found = {}
    for here, after in pairwise(body):
        if isinstance(here, ast.AnnAssign) and isinstance(after, ast.Expr):
            found[here.target.id] = markdown(" ".join(ast.literal_eval(after.value).split()))  # type: ignore[union-attr]
    return found


def class_section(name: str, cls: type) -> Iterator[str]:
    """A class: what it is, the fields of a dataclass, its public methods and properties."""
    yield markdown(inspect.getdoc(cls) or "") + "\n"
    if dataclasses.is_dataclass(cls):
        docs = attribute_docs(cls)
        yield table(
            ("field", "type", "meaning"),
            [
                (f"`{one.name}`", f"`{type_text(one.type)}`", docs.get(one.name, ""))
                for one in dataclasses.fields(cls)
            ],
        )
    rows = []
    for key, member in vars(cls).items():
        member = inspect.unwrap(getattr(member, "__func__", member))
        is_call = inspect.isfunction(member)
        own = not key.startswith(("_", "model_"))  # pydantic's own
        if own and (is_call or isinstance(member, property)) and inspect.getdoc(member):
            first = (inspect.getdoc(member) or "").split("\n\n")[0]
            call = f"`{key}()`" if is_call else f"`{key}`"
            rows.append((call, markdown(" ".join(first.split()))))
    yield table(("method or property", "what it is"), rows)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for chapter, names in CHAPTERS.items():
        parts.append(f"## {chapter}\n")
        if chapter == "Errors":
            tree = (inspect.getdoc(inspect.getmodule(plugin_bridge.BridgeError)) or "").split("\n\n")[1]
            parts.append(f"```text\n{tree}\n```\n")
            continue
        for name in names:
            found = getattr(plugin_bridge, name)
            section = class_section if inspect.isclass(found) else call_section
            parts += [f"### `{name}`\n", *(part for part in section(name, found) if part)]
    return "\n".join(parts)


if __name__ == "__main__":
    API.write_text(page(), encoding="utf-8")
