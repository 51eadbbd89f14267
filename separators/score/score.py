"""A score: which notes sound when, in parts (MIDI tracks, mostly) that become stems.

A :class:`Score` is a parameter's value (see :class:`separators.parameters.Content`): given as the path of a
Standard MIDI File, or made of notes by a program.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from separators.errors import ParameterError
from separators.parameters import Content
from separators.score.midi import MidiError, read_midi
from separators.score.notes import Note

PITCHES = 128


@dataclass(frozen=True)
class Part:
    """The notes of one stem."""

    name: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Score(Content):
    """Parts with their notes, in seconds from the first frame of the audio."""

    parts: tuple[Part, ...] = ()
    path: str = ""
    """The file it was read from, if it was."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the MIDI file at the path ``text``; nothing for an empty text.

        Raises :class:`ParameterError` if it is no MIDI file or holds no notes.
        """
        if not text:
            return cls()
        try:
            tracks = read_midi(Path(text)).tracks
        except MidiError as error:
            raise ParameterError(str(error)) from None
        score = cls.of_tracks(tracks, text)
        if not score:
            raise ParameterError(f"{text}: this MIDI file holds no notes; export the tracks with the notes")
        return score

    @classmethod
    def of_tracks(cls, tracks: Iterable[tuple[str, Iterable[Note]]], path: str = "") -> Self:
        """A part for each track that has notes; equal names are numbered."""
        parts = [Part(name, tuple(notes)) for name, notes in tracks]
        return cls(_distinct(part for part in parts if part.notes), path)

    def __bool__(self) -> bool:
        return any(part.notes for part in self.parts)

    def __str__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        count = sum(len(part.notes) for part in self.parts)
        return f"<Score {self.path or 'of a program'}: {len(self.parts)} parts, {count} notes>"

    @property
    def fingerprint(self) -> str:
        """BLAKE2b of all notes and names, wherever they were read from."""
        return hashlib.blake2b(repr(self.parts).encode(), digest_size=32).hexdigest()

    @property
    def end(self) -> float:
        """Where the last note ends, seconds."""
        return max((note.start + note.length for part in self.parts for note in part.notes), default=0.0)

    def shifted(self, seconds: float) -> Score:
        """The score with all notes ``seconds`` later."""

        def moved(part: Part) -> Part:
            return Part(part.name, tuple(replace(note, start=note.start + seconds) for note in part.notes))

        return Score(tuple(map(moved, self.parts)), self.path) if seconds else self

    def by_channel(self) -> Score:
        """A part for each MIDI channel: ``channel-1`` and so on, ``drums`` for channel 10."""
        return self._regrouped(
            lambda note: "drums" if note.is_drum else f"channel-{note.channel + 1}",
            order=lambda note: note.channel,
        )

    def by_tracks(self) -> Score:
        """The parts as they are; a single one with notes on several channels is split by channel."""
        channels = {note.channel for part in self.parts for note in part.notes}
        return self.by_channel() if len(self.parts) == 1 and len(channels) > 1 else self

    def by_notes(self, choice: str) -> Score:
        """A part for each item of ``choice``, see :func:`chosen_notes`; other notes are in none of them.

        Raises :class:`ParameterError` if the choice cannot be read or an item has no note here.
        """
        chosen = chosen_notes(choice)
        found: dict[str, list[Note]] = {name: [] for name in chosen}
        for note in sorted(self._notes(), key=lambda note: note.start):
            for name, pitches in chosen.items():
                if (note.pitch, None) in pitches or (note.pitch, note.channel) in pitches:
                    found[name].append(note)
                    break
        for name, notes in found.items():
            if not notes:
                raise ParameterError(f"notes: the score has no note for {name!r}; {_has(self._notes())}")
        return replace(self, parts=tuple(Part(name, tuple(notes)) for name, notes in found.items()))

    def _notes(self) -> Iterator[Note]:
        for part in self.parts:
            yield from part.notes

    def _regrouped(self, name: Callable[[Note], str], order: Callable[[Note], int]) -> Score:
        groups: dict[str, list[Note]] = defaultdict(list)
        for note in sorted(self._notes(), key=lambda note: (order(note), note.start)):
            groups[name(note)].append(note)
        return replace(self, parts=tuple(Part(name, tuple(notes)) for name, notes in groups.items()))


def chosen_notes(text: str) -> dict[str, set[tuple[int, int | None]]]:
    """Name -> (pitch, channel or None for any) of each item in a choice of notes.

    Items are separated by commas: a pitch, a range, several of them joined by ``+``, with a channel behind
    ``@`` (counted from 1), and a name before ``=``.

    >>> sorted(chosen_notes("left=0-59, kick=35+36@10")["kick"])
    [(35, 9), (36, 9)]
    """
    chosen: dict[str, set[tuple[int, int | None]]] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        name, equals, rest = item.rpartition("=")
        pitches, at, channel = rest.partition("@")
        try:
            number = int(channel) - 1 if at else None
            if number is not None and not 0 <= number < 16:
                raise ValueError
            keys = {(pitch, number) for span in pitches.split("+") for pitch in _span(span)}
        except ValueError:
            raise ParameterError(
                f"notes: {item!r} names no notes; write pitches from 0 to 127 like 60, 36+38, bass=28-47 or "
                "kick=35+36@10"
            ) from None
        name = name.strip() if equals else pitches.strip()
        if not name or name in chosen:
            raise ParameterError(f"notes: {item!r} needs a name of its own, like bass=28-47")
        chosen[name] = keys
    if not chosen:
        raise ParameterError("notes: choose at least one, like bass=28-47")
    return chosen


def _span(text: str) -> range:
    first, dash, last = text.partition("-")
    span = range(int(first), int(last if dash else first) + 1)
    if not (span and span.start >= 0 and span.stop <= PITCHES):
        raise ValueError
    return span


def _has(notes: Iterable[Note]) -> str:
    pitches = sorted({note.pitch for note in notes})
    return f"it has pitches from {pitches[0]} to {pitches[-1]}" if pitches else "it has none at all"


def _distinct(parts: Iterable[Part]) -> tuple[Part, ...]:
    counts: Counter[str] = Counter()
    named = []
    for part in parts:
        counts[part.name] += 1
        count = counts[part.name]
        named.append(part if count == 1 else Part(f"{part.name} {count}", part.notes))
    return tuple(named)
