"""Which audio files are read: one table, from which folders are searched and documents are written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A kind of file, told by its first bytes; the suffix only says where audio is looked for."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    magic: tuple[tuple[int, bytes], ...] = ()
    """Bytes at places counted from the file's start, or from the end of an ID3 tag there; one must fit."""
    demuxer: str = ""
    """FFmpeg's name for it, where FFmpeg's libraries read it; they are never left to guess, since some of
    their formats open further files."""


FORMATS = (
    Format(
        "wav",
        "WAV (Broadcast WAV, RF64 and BW64 too)",
        (".wav", ".wave", ".bwf", ".rf64", ".bw64"),
        ((0, b"RIFF"), (0, b"RIFX"), (0, b"RF64"), (0, b"BW64")),
    ),
    Format("aiff", "AIFF", (".aif", ".aiff", ".aifc"), ((8, b"AIFF"), (8, b"AIFC"))),
    Format("flac", "FLAC", (".flac",), ((0, b"fLaC"),), "flac"),
    Format("ogg", "Ogg (Vorbis, Opus, FLAC)", (".ogg", ".oga", ".opus", ".ogv"), ((0, b"OggS"),), "ogg"),
    Format("mp3", "MP3 (MPEG layers 1 and 2 too)", (".mp3", ".mp2")),
    Format(
        "mp4",
        "MP4 and QuickTime (AAC, ALAC; the sound of films)",
        (".m4a", ".m4b", ".mp4", ".m4v", ".mov"),
        tuple((4, kind) for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")),
        "mov",
    ),
    Format("aac", "AAC (ADTS)", (".aac",), ((0, b"\xff\xf1"), (0, b"\xff\xf9")), "aac"),
    Format(
        "wma",
        "Windows Media",
        (".wma", ".wmv", ".asf"),
        ((0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")),),
        "asf",
    ),
    Format(
        "matroska", "Matroska and WebM", (".mka", ".mkv", ".webm"), ((0, b"\x1a\x45\xdf\xa3"),), "matroska"
    ),
    Format("avi", "AVI", (".avi",), ((8, b"AVI "),), "avi"),
    Format("caf", "CAF", (".caf",), ((0, b"caff"),), "caf"),
    Format("w64", "Wave64", (".w64",), ((0, b"riff\x2e\x91\xcf\x11"),), "w64"),
    Format("wavpack", "WavPack", (".wv",), ((0, b"wvpk"),), "wv"),
    Format("ape", "Monkey's Audio", (".ape",), ((0, b"MAC "),), "ape"),
    Format("tta", "TTA", (".tta",), ((0, b"TTA1"),), "tta"),
    Format("au", "AU", (".au", ".snd"), ((0, b".snd"),), "au"),
)
SUFFIXES = frozenset(suffix for kind in FORMATS for suffix in kind.suffixes)
"""What is taken for audio in folders, in any case."""
NOT_READ = frozenset(
    {
        *(".aa", ".aax", ".ac3", ".amr", ".dff", ".dsf", ".dts", ".eac3", ".flv", ".m2ts", ".m4p", ".mogg"),
        *(".mpc", ".mpeg", ".mpg", ".mts", ".ofr", ".ra", ".rcy", ".rex", ".rm", ".rx2", ".sd2", ".shn"),
        *(".tak", ".vob", ".voc"),
    }
)
"""Audio all the same; folders that hold such files say so."""
HEAD = 16
"""Bytes in which every magic lies."""


def recognise(head: bytes) -> Format | None:
    """The format of a file that begins with ``head``, :data:`HEAD` bytes; None for MPEG audio and others."""
    for kind in FORMATS:
        if any(head[at : at + len(magic)] == magic for at, magic in kind.magic):
            # RIFF is also the first word of AVI.
            if kind.name == "wav" and head[8:12] != b"WAVE":
                continue
            return kind
    return None


def readable() -> str:
    """All formats and their suffixes, one line each, for help and documents."""
    return "\n".join(f"{kind.title}: {' '.join(kind.suffixes)}" for kind in FORMATS)


def readable_names() -> str:
    """The formats' names, for errors."""
    return ", ".join(kind.title.partition(" (")[0] for kind in FORMATS)
