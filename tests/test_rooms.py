"""Which room may import which: arrows go one way. Imports inside functions count, type checkers' do not.

What lies beside the rooms of a package (``separators``, ``plugin_bridge``) serves all of them. A name that a
package offers lazily counts as the module that it lies in.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BESIDE = {"separators": ["separators"], "plugin_bridge": ["plugin_bridge", "separators"]}
"""What every room of a package may import: what lies beside the rooms, and separators' common parts."""
MAY_IMPORT = {
    "separators.nmf": [], "separators.ica": [], "separators.neural": [], "separators.evaluation": [],
    "separators.score": ["separators.nmf"],
    "separators.models": ["separators.neural"],
    "separators.training": ["separators.neural", "separators.evaluation"],
    "plugin_bridge.audio": [], "plugin_bridge.plugins": [],
    "plugin_bridge.presets": ["audio", "plugins"],
    "plugin_bridge.sessions": ["audio", "separators.score"],
    "plugin_bridge.rendering": ["audio", "plugins", "sessions"],
    "plugin_bridge.report": [],
    "plugin_bridge.jobs": [
        "audio", "plugins", "presets", "rendering", "report", "sessions",
        "separators.nmf", "separators.score",
    ],
    "plugin_bridge.engine": ["jobs"],
    "plugin_bridge.batches": ["audio", "jobs", "presets", "sessions"],
    "plugin_bridge.learning": [
        "audio", "engine", "jobs", "sessions", "separators.nmf", "separators.training"
    ],
    "plugin_bridge.daw": ["audio", "sessions"],
    "plugin_bridge.api": ["daw", "batches", "engine", "jobs", "presets", "rendering"],
    "plugin_bridge.server": ["api", "audio", "presets", "report"],
    "plugin_bridge.diagnosis": ["audio", "plugins", "sessions", "separators.models", "separators.neural"],
    "plugin_bridge.commands": [
        "api", "audio", "daw", "batches", "diagnosis", "engine", "jobs", "learning", "presets", "server",
        "sessions",
        "separators.evaluation", "separators.nmf", "separators.score", "separators.training",
    ],
}  # fmt: skip
FILES_THAT_ARE_ROOMS = {
    "plugin_bridge.api": "plugin_bridge.api",
    "plugin_bridge.calls": "plugin_bridge.api",
    "plugin_bridge.cli": "plugin_bridge.commands",
    "plugin_bridge.__main__": "plugin_bridge.commands",
}
CIRCLES = [
    # A separator separates an array by the same path as any other source of audio: one call, inside a method.
    {"separators.base", "separators.streaming"},
    # A job is a small description that travels to a worker; what does it is imported where it is done.
    {
        "plugin_bridge.jobs.job",
        "plugin_bridge.jobs.run",
        "plugin_bridge.jobs.making",
        "plugin_bridge.jobs.separation",
    },
    # A plug-in in Python stands in containers, and containers look for plug-ins in Python.
    {"plugin_bridge.plugins." + name for name in ("containers", "native_containers", "python_plugin")},
]
"""Modules of one room that need each other; none of them while they are imported."""

PATHS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("separators", "plugin_bridge")
    for path in (ROOT / package).rglob("*.py")
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(PATHS[module].read_text(encoding="utf-8"))


def statements(node: ast.AST, at_import: bool, typing: bool = False) -> Iterator[ast.AST]:
    """What is run; ``at_import`` without functions' bodies, ``typing`` with what only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING" and not typing:
            continue
        yield child
        yield from statements(child, at_import, typing)


@cache
def place(module: str, name: str) -> str:
    """The module that is loaded by ``from module import name``."""
    if f"{module}.{name}" in PATHS:
        return f"{module}.{name}"
    if PATHS[module].name == "__init__.py":
        for node in statements(tree(module), at_import=True, typing=True):
            if isinstance(node, ast.ImportFrom) and node.module in PATHS:
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return place(node.module, alias.name)
    return module


@cache
def imports(module: str, at_import: bool) -> frozenset[str]:
    found = set()
    for node in statements(tree(module), at_import):
        if isinstance(node, ast.ImportFrom) and node.module in PATHS:
            found |= {place(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & PATHS.keys()
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in BESIDE:
            found.add(place(ast.unparse(node.value), node.attr))  # plugin_bridge.render
    return frozenset(found - {module})


def room(module: str) -> str:
    if module in FILES_THAT_ARE_ROOMS:
        return FILES_THAT_ARE_ROOMS[module]
    package, *inner = module.split(".")
    return f"{package}.{inner[0]}" if inner and f"{package}.{inner[0]}" in MAY_IMPORT else package


def circles(arrows: dict[str, frozenset[str]]) -> list[set[str]]:
    """Groups in which each can be reached from each."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = arrows[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    reached = {name: reachable(name) for name in arrows}
    groups = {
        frozenset(other for other in reached[name] if name in reached[other])
        for name in arrows
        if name in reached[name]
    }
    return [set(group) for group in groups]


@cache
def arrows_between_rooms() -> dict[str, dict[str, list[str]]]:
    """By room: the rooms that it imports from, and the imports."""
    found: dict[str, dict[str, list[str]]] = {room(module): {} for module in PATHS}
    for module in PATHS:
        for target in imports(module, at_import=False):
            if room(target) != room(module):
                found[room(module)].setdefault(room(target), []).append(f"{module} -> {target}")
    return found


def test_every_folder_of_a_package_is_a_room():
    folders = {f"{path.parent.parent.name}.{path.parent.name}" for path in ROOT.glob("*/*/__init__.py")}
    folders = {name for name in folders if name.startswith(("separators.", "plugin_bridge."))}
    assert folders - MAY_IMPORT.keys() == set()
    assert MAY_IMPORT.keys() - folders == {"plugin_bridge.api"}


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_room_imports_only_what_it_may_and_may_only_what_it_imports(name):
    package = name.split(".")[0]
    may = {inner if "." in inner else f"{package}.{inner}" for inner in MAY_IMPORT[name]}
    found = arrows_between_rooms()[name]
    not_allowed = [line for target in found.keys() - may - {*BESIDE[package]} for line in found[target]]
    assert not not_allowed
    assert may - found.keys() == set(), "the table allows what nobody needs"


def test_what_lies_beside_the_rooms_imports_from_none_of_them():
    for package, beside in BESIDE.items():
        assert arrows_between_rooms()[package].keys() <= {*beside}


def test_there_is_no_circle_between_rooms():
    assert circles({name: frozenset(found) for name, found in arrows_between_rooms().items()}) == []


def test_there_is_no_circle_while_modules_are_imported():
    assert circles({module: imports(module, at_import=True) for module in PATHS}) == []


def test_modules_that_need_each_other_are_those_that_say_why():
    found = circles({module: imports(module, at_import=False) for module in PATHS})
    assert sorted(map(sorted, found)) == sorted(map(sorted, CIRCLES))
