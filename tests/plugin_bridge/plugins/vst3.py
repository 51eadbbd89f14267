"""The real third-party plug-ins of the tests: Debian's package zam-plugins."""

from __future__ import annotations

import os

import pytest

from plugin_bridge.plugins.folders import installed

REQUIRED = os.environ.get("STEMBRIDGE_REQUIRE_VST3") == "1"
"""Set where the package is known to be installed: then its absence is a failure."""


def needs_vst3(*names: str) -> pytest.MarkDecorator:
    """Skip where one of the plug-ins ``names`` is not installed, unless they are required."""
    missing = [name for name in names if name not in installed()]
    return pytest.mark.skipif(
        bool(missing) and not REQUIRED,
        reason=f"{', '.join(missing)} not installed (Debian package zam-plugins)",
    )
