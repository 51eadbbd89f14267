"""How Sphinx makes the site (``make docs``): from the files as they lie in the repository, README first."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Stembridge"
author = "the contributors to Stembridge"
release = version = PROJECT["version"]
root_doc = "README"
include_patterns = [
    "*.md", "docs/*.md", "benchmarks/results/*.md", "examples/session/*.md",
]  # fmt: skip
exclude_patterns = [".*", "dist", "stems", "tests", "separators", "plugin_bridge"]  # not even looked into
extensions = ["myst_parser"]
myst_heading_anchors = 4  # links to headings, as repositories show them
myst_enable_extensions = ["colon_fence"]
pygments_dark_style = "monokai"
html_theme = "furo"
html_title = f"Stembridge {version}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
html_static_path = ["static"]
html_css_files = ["site.css"]

ABBREVIATIONS = ("ica", "nmf")
CONTENTS = """

```{toctree}
:hidden:
:caption: Use it

Your task <self>
docs/recipes
docs/operations
docs/quality
docs/sessions
docs/reference
docs/api
docs/plugins
docs/training
docs/big-models
docs/devices
docs/chains
examples/session/README
```

```{toctree}
:hidden:
:caption: Behind it

docs/voices
docs/music
docs/architecture
CONTRIBUTING
SECURITY
CHANGELOG
```

```{toctree}
:hidden:
:caption: Measured
:glob:

benchmarks/results/*
```
"""


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """The table of contents, which the README as people read it in the repository does not need."""
    if name == root_doc:
        source[0] += CONTENTS
    if name.startswith("benchmarks/results/"):  # tables only, as the benchmarks write them
        stem = Path(name).stem.replace("_", " ")
        source[0] = f"# {stem.upper() if stem in ABBREVIATIONS else stem.capitalize()}\n\n{source[0]}"
    if name == "examples/session/LICENSES":
        source[0] = "---\norphan: true\n---\n" + source[0]


def add_index(app: Sphinx, error: Exception | None) -> None:
    """The README is the first page."""
    if not error:
        shutil.copyfile(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_index)
    return {"parallel_read_safe": True}
