"""Puts each phrase on the stem of who says it.

A network that separates voices keeps them apart where they talk at once, but now and then puts a whole
phrase of one person on the stem of another whose voice is alike. So the phrases in which one talks alone are
compared (:mod:`.identity`) with each other and with those of the blocks before, as in diarization: each
belongs to the voice whose phrases it is most like, and is moved to its stem where it lies on another one.
So is a phrase of one voice that was torn, half of it on either stem. Where the network has put two people on
one stem, and their phrases are clearly unlike, one of them comes on the other stem. Stems whose
phrases are all alike are one person's (:mod:`.one_person`).
"""

from __future__ import annotations

from itertools import groupby, pairwise, permutations
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from separators.base import Audio
from separators.neural.identity import Identity, levels
from separators.neural.network import HOP
from separators.neural.one_person import REMEMBERED, OnePerson

ALONE = 0.8
"""Who has at least this part of a moment's energy talks alone."""
AUDIBLE_DB = -35.0
"""Moments this far below the level of speech are pauses."""
SMOOTH = 13
"""Hops over which energies are seen, 0.2 s."""
PAUSE = 10
"""Hops of a pause that ends a phrase, 0.16 s."""
SHORTEST, LONGEST = 40, 125
"""Hops of a phrase that is moved, 0.6 s, and of one that is judged as a whole, 2 s.

Less says too little of who it is; in more the network may have gone from one to the other."""
KEPT = 0.02
"""By how much, as a cosine, a phrase of the longest must be more like a voice than like that of its stem.

One of half the length: four times as much."""
ENOUGH = 64
"""Hops of phrases by which a voice is known, 1 s."""
LIKELY = 0.1
"""So much more like each other than like those of another voice, as a cosine, must the phrases of a voice be.

Else both may be one person, and nothing is moved between them."""
TWO = 0.27
"""By so much, as a cosine, are two people's phrases on one stem more like those of their own half."""
EACH, BOTH = 160, 750
"""Hops of phrases that halves must have for that, 2.5 s each and 12 s together.

As many that were torn tell of one person whether or not anything lies on one stem alone."""
COPIES = 0.75
"""Stems whose waves have at least this correlation are copies of each other."""
FADE = 320
"""Frames at 16 kHz, 20 ms, over which stems change places."""
ROUNDS = 20
BATCH = 8
"""Phrases that are worked out at once."""
TOGETHER, NOBODY = -1, -2
"""Who talks where no one talks alone."""


class Phrase(NamedTuple):
    """Hops in which one talks alone, on the stem of that number, or two at once, on two stems."""

    start: int
    end: int
    stem: int
    other: int | None = None

    @property
    def stems(self) -> list[int]:
        """The one or two it is on."""
        return [self.stem] if self.other is None else [self.stem, self.other]


class Move(NamedTuple):
    """Two stems that change places from a frame to another, at 16 kHz; or what is on one joins the other."""

    start: int
    end: int
    stem: int
    other: int
    joined: bool = False


class Talkers:
    """Who talks in which phrase, from block to block."""

    def __init__(self, voices: int, dimensions: int) -> None:
        self.known = np.zeros((voices, dimensions), np.float32)
        """Sum of each voice's vectors, times the hops of their phrases."""
        self.hops = np.zeros(voices)
        self.one_person = OnePerson(voices)
        self.level = 0.0
        """Power of speech in the loudest block so far: what is far below is nobody's."""

    def moves(self, network: Identity, stems: Audio, new: int = 0, only_voices: bool = True) -> list[Move]:
        """What to move in the ``stems`` ``(voices, frames)`` at 16 kHz, in order of time.

        Of their frames those before ``new`` are heard only, and their moves are left out. Unless they hold
        ``only_voices`` what lies on one stem stays there.
        """
        power = power_around(stems)
        self.level = max(self.level, speech_level(power))
        found = phrases(power, self.level)
        long = [phrase for phrase in found if phrase.end - phrase.start >= SHORTEST]
        # What is the same on two stems is one person's, whom the network tore.
        said = [phrase for phrase in long if phrase.other is None or _copies(stems, phrase)]
        if not said:
            return []
        vectors = _vectors(network, [_whole(stems, phrase) for phrase in said])
        hops = np.array([phrase.end - phrase.start for phrase in said], float)
        labels = np.array([NOBODY if phrase.other is not None else phrase.stem for phrase in said])
        owners, movable = self._owners(vectors, hops, labels, only_voices)
        self._remember(vectors, hops, owners)
        if self.one_person.gone:
            return []
        places = self._places(network, stems, long, dict(zip(said, owners.tolist(), strict=True)), movable)
        made = []
        for before, phrase, after in zip([None, *found], found, [*found[1:], None], strict=False):
            if phrase in places:
                # Up to the middle of what lies between phrases, a pause mostly.
                start = (before.end + phrase.start) // 2 * HOP if before else 0
                end = (phrase.end + after.start) // 2 * HOP if after else stems.shape[1]
                if end > new:
                    made.append(Move(max(start - new, 0), end - new, *places[phrase]))
        return made

    def _places(
        self,
        network: Identity,
        stems: Audio,
        long: list[Phrase],
        owners: dict[Phrase, int],
        movable: NDArray[np.bool_],
    ) -> dict[Phrase, tuple[int, int, bool]]:
        """Phrases that are not on their stems: between which two to move, and whether to join both there."""
        places = {
            phrase: (phrase.stem, owner, False)
            for phrase, owner in owners.items()
            if phrase.other is None and owner != phrase.stem
        }
        # Where everybody alone is in place, so are two at once.
        for phrase in long if places else ():
            if phrase not in owners and movable[tuple(phrase.stems)]:
                parts = [_part(stems[stem], phrase) for stem in phrase.stems]
                likeness = _vectors(network, parts) @ _unit(self.known[phrase.stems]).T
                if np.trace(likeness[::-1]) > np.trace(likeness) + 2 * _kept(phrase.end - phrase.start):
                    one, other = phrase.stems
                    places[phrase] = (one, other, False)
        for phrase, owner in owners.items():
            if phrase.other is not None and owner in phrase.stems:
                places[phrase] = (sum(phrase.stems) - owner, owner, True)
        return places

    def _owners(
        self, vectors: Audio, hops: Audio, labels: NDArray[np.int64], only_voices: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Whose each phrase is, by k-means from several beginnings; between which voices phrases may move.

        What this says of whether two are one person, :attr:`one_person` hears.
        """
        beginnings = [labels]
        if len(self.known) == 2 and len(labels) > 1:
            parts = _halves(vectors, hops)
            beginnings += [parts, 1 - parts]
        found = [self._settled(vectors, hops, labels, beginning) for beginning in beginnings]
        owners, voices = max(found, key=lambda one: one[2])[:2]
        if not self.hops.any():
            owners, voices = _least_moved(owners, voices, labels, hops)
        more, compared = self._apart(vectors, hops, owners)
        apart = more / np.maximum(compared, 1)
        alone = labels != NOBODY
        on_stem = np.bincount(labels[alone], hops[alone], len(voices))
        said = np.bincount(owners, hops, len(voices))
        heard = np.minimum(on_stem, said) + self.hops
        # Nothing goes to the stem of somebody whom the network has not heard: who talks alone stays whole.
        movable = (apart >= LIKELY) & (heard >= ENOUGH) & (heard >= ENOUGH)[:, None]
        if only_voices:  # but where it has clearly put two people on one stem
            enough = (said >= EACH) & (said >= EACH)[:, None] & (said + said[:, None] >= BOTH)
            movable |= (apart >= TWO) & enough
        all_torn = only_voices and hops[~alone].sum() >= BOTH
        if movable.any() or all_torn or np.count_nonzero(on_stem + self.hops) > 1:
            self.one_person.hear(more, compared, self.hops + said)
        # Of a torn phrase it must be known whose it is.
        one = self.one_person.owners
        clear = (movable.sum(0) > 0) | (np.bincount(one, minlength=len(one))[one] > 1)
        torn = np.where(clear[owners], owners, NOBODY)
        return np.where(alone, np.where(movable[labels, owners], owners, labels), torn), movable

    def _settled(
        self, vectors: Audio, hops: Audio, labels: NDArray[np.int64], owners: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], Audio, float]:
        """The owners k-means comes to, the voices' vectors ``(voices, dimensions)``, and how they fit."""
        numbers = np.arange(len(self.known))
        kept = _kept(hops)[:, None]
        for _ in range(ROUNDS):
            voices = _unit(self._sums(vectors, hops, owners))
            likeness = vectors @ voices.T + (labels[:, None] == numbers) * kept
            nearest = likeness.argmax(1)
            if (nearest == owners).all():
                break
            owners = nearest
        return owners, voices, float(hops @ likeness.max(1))

    def _apart(self, vectors: Audio, hops: Audio, owners: NDArray[np.int64]) -> tuple[Audio, Audio]:
        """How much more like the others of their own voice its phrases are than like another voice's.

        As cosines times hops, and the hops, ``(voices, voices)``: sums over the phrases of both, each of
        which is left out of its own voice.
        """
        numbers = np.arange(len(self.known))
        sums = self._sums(vectors, hops, owners)
        likeness = vectors @ _unit(sums).T
        others = sums[owners] - hops[:, None] * vectors
        likeness[np.arange(len(owners)), owners] = (vectors * _unit(others)).sum(1)
        more = (likeness[np.arange(len(owners)), owners][:, None] - likeness) * hops[:, None]
        total = np.stack([more[owners == number].sum(0) for number in numbers])
        count = np.bincount(owners, hops, len(numbers)).astype(np.float32)
        return total + total.T, count + count[:, None]

    def _sums(self, vectors: Audio, hops: Audio, owners: NDArray[np.int64]) -> Audio:
        """What would be :attr:`known` with phrases of these ``owners``."""
        own = (owners[:, None] == np.arange(len(self.known))) * hops[:, None]
        found: Audio = self.known + own.T @ vectors
        return found

    def _remember(self, vectors: Audio, hops: Audio, owners: NDArray[np.int64]) -> None:
        whose = self.one_person.owners
        for voice in self.one_person.gone:
            self.known[whose[voice]] += self.known[voice]
            self.hops[whose[voice]] += self.hops[voice]
            self.known[voice], self.hops[voice] = 0, 0
        known = owners != NOBODY
        owners = whose[owners[known]]
        self.known = self._sums(vectors[known], hops[known], owners)
        self.hops = self.hops + np.bincount(owners, hops[known], len(self.known))
        kept = np.minimum(1, REMEMBERED / np.maximum(self.hops, 1))
        self.known, self.hops = self.known * kept[:, None], self.hops * kept


def speech_level(power: NDArray[np.float64]) -> float:
    """All of the ``power`` ``(voices, hops)`` of voices, in which moments count as much as they are loud."""
    total = power.sum(0)
    return float(np.square(total).sum() / max(total.sum(), 1e-20))


def power_around(stems: Audio) -> NDArray[np.float64]:
    """Of ``stems`` ``(voices, frames)`` at 16 kHz around each hop, ``(voices, hops)``."""
    return around(np.square(stems))


def around(values: Audio) -> NDArray[np.float64]:
    """Means of ``values`` ``(..., frames)`` at 16 kHz around each hop, ``(..., hops)``.

    None of less than 0.2 s.
    """
    means = by_hop(values)
    if means.shape[-1] < SMOOTH:
        return means[..., :0]
    return np.apply_along_axis(np.convolve, -1, means, np.ones(SMOOTH) / SMOOTH, "same")


def by_hop(values: Audio) -> NDArray[np.float64]:
    """Means of ``values`` ``(..., frames)`` at 16 kHz in each hop, ``(..., hops)``."""
    hops = values.shape[-1] // HOP
    whole = values[..., : hops * HOP].reshape(*values.shape[:-1], hops, HOP)
    means: NDArray[np.float64] = whole.mean(-1, dtype=np.float64)
    return means


def phrases(power: NDArray[np.float64], level: float) -> list[Phrase]:
    """Where one or two voices of the ``power`` ``(voices, hops)`` talk, in order of time.

    ``level`` is that of speech (:func:`speech_level`).
    """
    total = power.sum(0)
    owners = np.where(power.max(0) >= ALONE * total, power.argmax(0), TOGETHER)
    owners[total <= level * 10 ** (AUDIBLE_DB / 10)] = NOBODY
    found = []
    start = 0
    for owner, run in groupby(_without_short_pauses(owners).tolist()):
        end = start + len(list(run))
        if owner != NOBODY:
            edges = [start, *_pauses(total, start, end), end]
            for one, other in pairwise(edges):
                loudest = np.argsort(-power[:, one:other].sum(1))[:2].tolist()
                found.append(
                    Phrase(one, other, owner) if owner >= 0 else Phrase(one, other, *sorted(loudest))
                )
        start = end
    return found


def _pauses(power: NDArray[np.float64], start: int, end: int) -> list[int]:
    """Where to cut from ``start`` to ``end`` into phrases: where it is quietest."""
    if end - start <= LONGEST:
        return []
    cut = start + SHORTEST + int(power[start + SHORTEST : end - SHORTEST].argmin())
    return [*_pauses(power, start, cut), cut, *_pauses(power, cut, end)]


def _without_short_pauses(owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """``owners`` of hops, in which who goes on after less than :data:`PAUSE` has not stopped."""
    closed = owners.copy()
    talking = np.flatnonzero(owners >= 0)
    for before, after in pairwise(talking):
        if after - before <= PAUSE and owners[before] == owners[after]:
            closed[before:after] = owners[before]
    return closed


def _kept(hops: float | Audio) -> Any:
    """By how much a phrase of so many ``hops`` must be more like another voice to be moved."""
    return KEPT * np.square(LONGEST / hops)


def _part(stem: Audio, phrase: Phrase) -> Audio:
    return stem[phrase.start * HOP : phrase.end * HOP]


def _whole(stems: Audio, phrase: Phrase) -> Audio:
    """All that is said in ``phrase``, of ``stems`` ``(voices, frames)``."""
    return _part(stems[phrase.stems].sum(0), phrase)


def _copies(stems: Audio, phrase: Phrase) -> bool:
    """Whether both stems of ``phrase`` hold the same wave."""
    one, other = (_part(stems[stem], phrase).astype(float) for stem in phrase.stems)
    return bool(one @ other >= COPIES * np.sqrt((one @ one) * (other @ other)))


def _vectors(network: Identity, parts: list[Audio]) -> Audio:
    """Of ``parts`` of voices at 16 kHz, ``(parts, dimensions)``."""
    with torch.inference_mode():
        heard = [levels(torch.from_numpy(part).to(network.device)).T for part in parts]
        hops = torch.tensor([len(one) for one in heard]).to(network.device)
        # Phrases of about the same length are worked out at once, which takes half the time.
        made = []
        order = hops.argsort()
        for some in torch.split(order, BATCH):
            together = pad_sequence([heard[number] for number in some.tolist()], batch_first=True)
            made.append(network(together.mT, hops[some]))
        found: Audio = torch.cat(made)[order.argsort()].cpu().numpy()
    return found


def _unit(sums: Audio) -> Audio:
    """``(..., dimensions)``, of length one; none of nothing."""
    length: Audio = np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), 1e-9)
    return sums / length


def _halves(vectors: Audio, hops: Audio) -> NDArray[np.int64]:
    """0 or 1 for each of ``vectors``: the side of their mean, where they differ most."""
    apart = vectors - np.average(vectors, 0, hops)
    direction = np.linalg.svd(apart * np.sqrt(hops)[:, None], full_matrices=False)[2][0]
    return np.where(apart @ direction > 0, 1, 0)


def _least_moved(
    owners: NDArray[np.int64], voices: Audio, labels: NDArray[np.int64], hops: Audio
) -> tuple[NDArray[np.int64], Audio]:
    """``owners`` and ``voices`` with those numbers by which the least is moved: nobody is known yet."""
    orders = [np.array(order) for order in permutations(range(len(voices)))]
    order = max(orders, key=lambda order: float(hops[order[owners] == labels].sum()))
    return order[owners], voices[np.argsort(order)]


def move(stems: Audio, moves: list[Move], scale: float = 1.0) -> None:
    """Make ``moves`` in the ``stems`` ``(voices, ..., frames)``, at ``scale`` times 16 kHz, in place."""
    for start, end, one, other, joined in moves:
        where, share = faded(start, end, stems.shape[-1], scale)
        across = -share * stems[one, ..., where]
        if not joined:
            across += share * stems[other, ..., where]
        stems[one, ..., where] += across
        stems[other, ..., where] -= across


def faded(start: int, end: int, frames: int, scale: float) -> tuple[slice, Audio]:
    """What lies from ``start`` to ``end``, at 16 kHz, in ``frames`` at ``scale`` times that, and its fades.

    Without a fade where it reaches the beginning or the end.
    """
    first, last = max(0, round(start * scale)), max(0, min(frames, round(end * scale)))
    fade = min(round(FADE * scale), (last - first) // 2)
    share = np.ones(max(0, last - first), np.float32)
    if fade > 0:
        ramp = (np.arange(fade, dtype=np.float32) + 0.5) / fade
        if first:
            share[:fade] = ramp
        if last < frames:
            share[-fade:] = ramp[::-1]
    return slice(first, first + len(share)), share
