"""What stands in a job for the separator of a preset that has none."""

from __future__ import annotations

from separators.base import Audio, Separator, Transform

PROCESSED = "processed"
"""What a chain's result is called where stems have names; its file is called like the track."""


class Unseparated(Separator):
    """Gives the mixture back as its one stem."""

    name = "chain"
    summary = "nothing is separated"

    def stem_names(self, channels: int) -> tuple[str, ...]:
        """One."""
        return (PROCESSED,)

    def fit(self, sample: Audio, sample_rate: int) -> Transform:
        """Learn nothing."""
        return lambda block: block[None]
