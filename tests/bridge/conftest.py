"""What the tests of commands share."""

import pytest

from tests.bridge.command_helpers import UNPAN


@pytest.fixture
def preset(tmp_path):
    """A preset file that un-pans stereo."""
    path = tmp_path / "unpan.toml"
    path.write_text(UNPAN)
    return path
