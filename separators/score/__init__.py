"""Separation by a score: notes, Standard MIDI Files, and NMF that knows which notes sound when."""

from separators.score.notes import Note
from separators.score.score import Part, Score, chosen_notes

__all__ = ["Note", "Part", "Score", "chosen_notes"]
