"""Dictionaries: how named parts of a session sound, as spectral templates in a small file.

A dictionary is one safetensors file: for each part, ``vocals`` or ``snare``, its templates, and in its
metadata the card, JSON that says how the spectra were taken and what they were learned from. Files come
from anywhere: all they say is checked before it is used, and nothing in them is run.
:mod:`separators.nmf.dictionary_learning` makes them, the modes of :mod:`separators.nmf.supervised` use them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from separators.errors import ParameterError
from separators.nmf.examples import BANDS, FRAMES, HOP_SECONDS, MOST_EXAMPLES, at_hop, mel_bands
from separators.nmf.solver import Matrix
from separators.spectral import STFT

FORMAT = "stembridge-dictionary-1"
SUFFIX = ".safetensors"
FOLDER_VARIABLE = "STEMBRIDGE_DICTIONARIES"
"""Environment variable: the folder of dictionaries that are used by name."""
REST = "rest"
"""The stem of everything that is in no dictionary; no part can be called that."""
LARGEST_FILE = 64_000_000
"""Bytes."""
MOST_PARTS, MOST_TEMPLATES = 32, 512
EXAMPLES = "examples"
"""What the arrays of :attr:`Dictionary.examples` are called in the file."""
LONGEST_NAME = 64
RATES = (4000, 384_000)
"""Sample rates in hertz that are believed."""
FFT_SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
LARGEST_HALF = np.float32(65504)
"""The largest number in half precision."""
KNOWN_BAND = 0.9
"""A recording is trusted up to this part of half its sample rate; filters fade out above."""


class DictionaryError(ParameterError):
    """A dictionary is missing, damaged, of another kind, or asks for the impossible."""


class Part(NamedTuple):
    """The templates of one part, ``(templates, bins)`` each."""

    found_by: Matrix
    """Magnitudes by which the part is found in a mixture; as :meth:`Dictionary.parts_at` gives them, each
    template sums to one."""
    made_of: Matrix
    """What each template then adds to the part's model, in the scale of ``found_by``; see
    :mod:`separators.nmf.dictionary_learning`."""


@dataclass(frozen=True)
class Dictionary:
    """Named parts and their templates.

    >>> hum = np.ones((1, 129), np.float32)
    >>> Dictionary({"hum": Part(hum, hum)}, 8000, 256)
    <Dictionary hum (1)>
    """

    parts: Mapping[str, Part]
    """Name -> templates, which become stems in this order."""
    sample_rate: int
    """In hertz, of the audio that the templates were learned from."""
    fft_size: int
    """Samples in the Hann window of the spectra."""
    sources: Mapping[str, Any] = field(default_factory=dict)
    """What was noted about each part: files and seconds it was learned from."""
    examples: Mapping[str, Matrix] = field(default_factory=dict)
    """Name -> ``(examples, frames, bands)`` of :mod:`separators.nmf.examples`; of every part, or empty."""

    def __post_init__(self) -> None:
        """Check everything; raises :class:`DictionaryError`."""
        if not (isinstance(self.sample_rate, int) and RATES[0] <= self.sample_rate <= RATES[1]):
            raise DictionaryError(
                f"the sample rate must be {RATES[0]} to {RATES[1]}, not {self.sample_rate!r}"
            )
        if self.fft_size not in FFT_SIZES:
            allowed = ", ".join(map(str, FFT_SIZES))
            raise DictionaryError(f"the window must be one of {allowed} samples, not {self.fft_size!r}")
        if not 1 <= len(self.parts) <= MOST_PARTS:
            raise DictionaryError(f"a dictionary has 1 to {MOST_PARTS} parts, not {len(self.parts)}")
        for name, part in self.parts.items():
            check_name(name)
            for templates in part:
                _check_shape(name, templates.shape, self.fft_size)
                if not (np.isfinite(templates).all() and (templates >= 0).all()):
                    raise DictionaryError(f"part {name!r} holds magnitudes that are negative or not finite")
            if len(part.found_by) != len(part.made_of):
                raise DictionaryError(f"the two arrays of part {name!r} differ in length")
            if not part.found_by.any(axis=1).all():
                raise DictionaryError(f"part {name!r} holds a template that is zero everywhere")
        if self.examples and set(self.examples) != set(self.parts):
            raise DictionaryError("only some of its parts have examples")
        for name, examples in self.examples.items():
            _check_examples(name, examples.shape)
            if not (
                np.isfinite(examples).all() and (examples >= 0).all() and examples.any(axis=(1, 2)).all()
            ):
                raise DictionaryError(f"part {name!r} holds examples that are no sound")

    def __repr__(self) -> str:
        return (
            f"<Dictionary {', '.join(f'{name} ({len(part.found_by)})' for name, part in self.parts.items())}>"
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts, in order."""
        return tuple(self.parts)

    def parts_at(self, stft: STFT, sample_rate: int) -> list[Part]:
        """Each part's magnitudes as ``stft`` would see them at ``sample_rate``.

        Above what the recordings hold they go on as at their end.
        """
        hertz = np.arange(stft.bins) * sample_rate / stft.fft_size
        nyquist = self.sample_rate / 2
        hertz = np.where(hertz > nyquist, np.minimum(hertz, KNOWN_BAND * nyquist), hertz)
        learned = np.arange(self.fft_size // 2 + 1) * self.sample_rate / self.fft_size

        def seen(rows: Matrix) -> Matrix:
            return np.stack([np.interp(hertz, learned, row) for row in rows]).astype(np.float32)

        return [scaled(Part(seen(part.found_by), seen(part.made_of))) for part in self.parts.values()]

    def examples_at(self, stft: STFT, sample_rate: int) -> tuple[list[Matrix], Matrix]:
        """Each part's examples at the hop of ``stft``, in its bands ``(bins, bands)``, which come second."""
        bands = mel_bands(stft.bins, sample_rate / 2, self.sample_rate / 2)
        known = (bands.sum(axis=0) > 0).astype(np.float32)
        hop = stft.hop / sample_rate
        return [at_hop(self.examples[name], HOP_SECONDS, hop) * known for name in self.parts], bands

    def to_bytes(self) -> bytes:
        """The content of the file, in half precision."""
        tensors = {}
        for number, (name, part) in enumerate(self.parts.items()):
            if name in self.examples:
                heard = self.examples[name]
                tensors[f"{number}.{EXAMPLES}"] = (heard / heard.max(axis=(1, 2), keepdims=True)).astype(
                    np.float16
                )
            peaks = part.found_by.max(axis=1, keepdims=True)
            for key, rows in part._asdict().items():
                tensors[f"{number}.{key}"] = np.minimum(rows / peaks, LARGEST_HALF).astype(np.float16)
        card = {
            "sample_rate": self.sample_rate,
            "fft_size": self.fft_size,
            "parts": [{"name": name, **self.sources.get(name, {})} for name in self.parts],
        }
        return save(tensors, {"format": FORMAT, "card": json.dumps(card, ensure_ascii=False)})


def scaled(part: Part) -> Part:
    """``part`` with templates that each sum to one.

    One that lies above everything that a low sample rate knows becomes zero: it never plays there.
    """
    totals = part.found_by.sum(axis=1, keepdims=True)
    scale = np.divide(1, totals, out=np.zeros_like(totals), where=totals > 0)
    return Part(part.found_by * scale, part.made_of * scale)


def check_name(name: object) -> None:
    """Raise :class:`DictionaryError` if ``name`` cannot be a part's."""
    if not (isinstance(name, str) and name.isprintable() and name.strip() == name and name):
        raise DictionaryError(f"a part's name is a line of text, not {name!r}")
    if len(name) > LONGEST_NAME:
        raise DictionaryError(f"a part's name has at most {LONGEST_NAME} characters, not {len(name)}")
    if name == REST:
        raise DictionaryError(f"no part can be called {REST!r}: that is the stem of everything else")


def folder() -> Path:
    """Where the dictionaries lie that are used by name.

    ``STEMBRIDGE_DICTIONARIES``, or ``stembridge/dictionaries`` where the system keeps its users' data.
    """
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    if sys.platform == "darwin":
        home = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        home = Path(os.environ.get("APPDATA") or Path.home())
    else:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "stembridge" / "dictionaries"


def is_name(name_or_path: str) -> bool:
    """Whether this is a dictionary's name rather than the path of a file."""
    return not (name_or_path.endswith(SUFFIX) or "/" in name_or_path or os.sep in name_or_path)


def find(name_or_path: str) -> Path:
    """The file of a dictionary in :func:`folder` by its name, or the path itself."""
    return folder() / f"{name_or_path}{SUFFIX}" if is_name(name_or_path) else Path(name_or_path)


def names() -> list[str]:
    """The names of all dictionaries in :func:`folder`, sorted."""
    return sorted(path.stem for path in folder().glob(f"*{SUFFIX}"))


def load(name_or_path: str) -> Dictionary:
    """The dictionary of that name or in that file; raises :class:`DictionaryError`.

    Read once and kept; a file that has changed is read anew.
    """
    path = find(name_or_path)
    try:
        status = path.stat()
        regular = path.is_file()
    except (OSError, ValueError):
        regular = False
    if not regular:
        known = f"; there are: {', '.join(names()) or 'none'}" if is_name(name_or_path) else ""
        raise DictionaryError(
            f"there is no dictionary {str(path)!r}{known}; `stembridge dictionary learn` makes one"
        )
    if status.st_size > LARGEST_FILE:
        raise DictionaryError(
            f"{path}: {status.st_size} bytes are too many for a dictionary ({LARGEST_FILE})"
        )
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, _modified: int, _size: int) -> Dictionary:
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DictionaryError(f"it is of the format {metadata.get('format')!r}, not {FORMAT!r}")
            card = json.loads(metadata["card"])
            fft_size, entries = card["fft_size"], card["parts"]
            if fft_size not in FFT_SIZES or not isinstance(entries, list) or len(entries) > MOST_PARTS:
                raise DictionaryError("its card is wrong")
            parts: dict[str, Part] = {}
            examples: dict[str, Matrix] = {}
            sources = {}
            stored = set(file.keys())
            for number, entry in enumerate(entries):
                name = entry["name"]
                check_name(name)
                if name in parts:
                    raise DictionaryError(f"two parts are called {name!r}")
                arrays = []
                for key in Part._fields:
                    tensor = f"{number}.{key}"
                    _check_shape(name, tuple(file.get_slice(tensor).get_shape()), fft_size)
                    arrays.append(file.get_tensor(tensor).astype(np.float32))
                parts[name] = Part(*arrays)
                if (tensor := f"{number}.{EXAMPLES}") in stored:
                    _check_examples(name, tuple(file.get_slice(tensor).get_shape()))
                    examples[name] = file.get_tensor(tensor).astype(np.float32)
                sources[name] = {key: value for key, value in entry.items() if key != "name"}
            return Dictionary(parts, card["sample_rate"], fft_size, sources, examples)
    except DictionaryError as error:
        raise DictionaryError(f"{path}: no usable dictionary: {error}") from None
    except (
        OSError,
        SafetensorError,
        RecursionError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DictionaryError(f"{path}: no usable dictionary: {reason}") from None


def _check_examples(name: str, shape: tuple[int, ...]) -> None:
    if not (len(shape) == 3 and 1 <= shape[0] <= MOST_EXAMPLES and shape[1:] == (FRAMES, BANDS)):
        raise DictionaryError(
            f"part {name!r} has examples of the shape {tuple(shape)}; "
            f"allowed are 1 to {MOST_EXAMPLES} of {FRAMES} frames and {BANDS} bands"
        )


def _check_shape(name: str, shape: tuple[int, ...], fft_size: int) -> None:
    bins = fft_size // 2 + 1
    if not (len(shape) == 2 and 1 <= shape[0] <= MOST_TEMPLATES and shape[1] == bins):
        raise DictionaryError(
            f"part {name!r} has the shape {tuple(shape)}; "
            f"allowed are 1 to {MOST_TEMPLATES} templates of {bins} bins"
        )
