"""Mutations of bytes and of text; a number decides all of them, so that each can be made again."""

from __future__ import annotations

import random

NUMBERS = (*b"0 -1 1e200 -1e20 1e-300 nan inf 604800 4294967295 x".split(), b"9" * 400)
"""What stands in place of a number in a text."""
EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
WIDE = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF)
MOST = 1 << 18
"""Bytes that a mutated file has at most, if its seed has not more."""


def mutated(seed: bytes, number: int) -> bytes:
    """Mutation ``number`` of ``seed``: one to four changes, in most cases of different kinds."""
    rng = random.Random(number)
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        rng.choice((_byte, _wide, _cut, _repeat, _remove, _swap, _word, _line, _end))(rng, data)
        del data[max(MOST, len(seed)) :]
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    """Half of the changes hit the first bytes, where headers are."""
    end = min(len(data), 128) if rng.random() < 0.5 else len(data)
    return rng.randrange(end) if end else 0


def _byte(rng: random.Random, data: bytearray) -> None:
    if data:
        place = _place(rng, data)
        data[place] = rng.choice((rng.randrange(256), data[place] ^ 1 << rng.randrange(8), rng.choice(EDGES)))


def _wide(rng: random.Random, data: bytearray) -> None:
    place, size = _place(rng, data), rng.choice((2, 4, 8))
    value = rng.choice(WIDE) & (1 << 8 * size) - 1
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _repeat(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    piece = data[place : place + rng.choice((1, 4, 16, 100, 1000))]
    data[place:place] = piece * rng.choice((1, 2, 30, 1000))


def _remove(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    del data[place : place + rng.choice((1, 2, 4, 16, 100))]


def _swap(rng: random.Random, data: bytearray) -> None:
    first, second, size = _place(rng, data), _place(rng, data), rng.choice((1, 4, 16))
    one, other = bytes(data[first : first + size]), bytes(data[second : second + size])
    if len(one) == len(other) == size and abs(first - second) >= size:
        data[first : first + size], data[second : second + size] = other, one


def _word(rng: random.Random, data: bytearray) -> None:
    """Another number in a text."""
    words = bytes(data).split(b" ")
    places = [
        place for place, word in enumerate(words) if word.strip(b"\n,]}>\r").replace(b".", b"").isdigit()
    ]
    if places:
        place = rng.choice(places)
        words[place] = rng.choice(NUMBERS) + (b"\n" if words[place].endswith(b"\n") else b"")
        data[:] = b" ".join(words)


def _line(rng: random.Random, data: bytearray) -> None:
    """A line twice, or none."""
    lines = bytes(data).split(b"\n")
    place = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[place:place] = [lines[place]] * rng.choice((1, 2, 70, 1000))
    else:
        del lines[place]
    data[:] = b"\n".join(lines)


def _end(rng: random.Random, data: bytearray) -> None:
    data += bytes(rng.choice((1, 128, 4096))) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 300)))
