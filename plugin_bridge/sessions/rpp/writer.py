"""Writes stems back as a new REAPER project beside the user's: originals muted, stems under them.

A ``.rpp`` is copied line by line and only the lines that must differ are changed or added, so that
whatever else the user's project holds survives; other sessions are first written as a fresh project.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path, PureWindowsPath

from plugin_bridge.errors import SessionError
from plugin_bridge.naming import relative_name
from plugin_bridge.sessions.model import Clip, Session
from plugin_bridge.sessions.placed import PlacedStem, Remark
from plugin_bridge.sessions.rpp.envelopes import SENDS
from plugin_bridge.sessions.rpp.fresh_strips import guid
from plugin_bridge.sessions.rpp.project import is_bus, item_lines, project_text, written_tracks
from plugin_bridge.sessions.rpp.reader import track_blocks
from plugin_bridge.sessions.rpp.routing import VCA_LEADS
from plugin_bridge.sessions.rpp.text import Block, Line, displayed, parse, quoted, read_text, split_lines
from separators.atomic import write_atomically

STRIP_LINES = (
    "PEAKCOL", "BEAT", "AUTOMODE", "PANLAWFLAGS", "PANMODE", "VOLPAN", "MUTESOLO", "IPHASE", "PLAYOFFS",
    "NCHAN", "FX", "MAINSEND", "HWOUT", "GROUP_FLAGS", "GROUP_FLAGS_HIGH",
)  # fmt: skip
STRIP_BLOCKS = (
    "VOLENV2", "VOLENV3", "PANENV", "PANENV2", "WIDTHENV", "WIDTHENV2", "MUTEENV",
    "DUALPANENV", "DUALPANENVL", "DUALPANENV2", "DUALPANENVL2", "FXCHAIN",
)  # fmt: skip
"""What a stem takes over from its track, word by word: the strip, its automation, its effects.

The volume before effects is in the stems already."""
IDENTITIES = ("EGUID", "FXID")
"""Lines in those blocks that must not occur twice in a project; REAPER makes new ones."""


def write_stems_project(
    session: Session,
    placed: Mapping[str, Sequence[PlacedStem]],
    out_path: Path,
    remark: Remark = lambda text: None,
) -> Path:
    """Write ``session`` with its stems to ``out_path`` and return that.

    ``placed`` maps track identifiers to the stems made of the track before its fader. Each original
    becomes muted, and its stems follow it (a folder's follow its last child) with its colour, volume, pan,
    polarity, mute, sends, groups, automation and effects. An original that others send to stays open for
    them: its items are muted in its place, and its children no longer play into it. What of another DAW's
    session a REAPER project cannot hold is said to ``remark``. Raises
    :class:`SessionError` if an identifier is unknown, if the session's file has changed since it was read, or
    if nothing can be written.
    """
    out_path = out_path.absolute()
    if session.format == "rpp":
        if out_path.resolve() == session.path.resolve():
            raise SessionError(f"{out_path}: is the session itself, which is never written to")
        text = read_text(session.path)
    else:
        text = project_text(session, out_path.parent, remark)
    lines = split_lines(text)
    root = parse(lines, session.path)
    tracks = [block for _, block in track_blocks(root)]
    identifiers = _identifiers(session)
    if session.format == "rpp" and identifiers != [identifier for identifier, _ in track_blocks(root)]:
        raise SessionError(f"{session.path}: has changed since it was read; start again")
    for identifier in placed:
        if identifier not in identifiers:
            raise SessionError(f"{session.path}: no track {identifier!r} to put stems under")

    stems = {identifiers.index(identifier): list(stems) for identifier, stems in placed.items() if stems}
    splice = _Splice(lines)
    rows = _rows(tracks, stems)
    _edit_tracks(splice, rows, tracks, stems, out_path.parent)
    if session.format == "rpp" and session.path.resolve().parent != out_path.parent.resolve():
        _rename_media(splice, tracks, session.path.resolve().parent, out_path.parent.resolve())
    try:
        write_atomically(out_path, splice.text().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise SessionError(
            f"{out_path}: cannot be written: {(error.strerror or str(error)).lower()}"
        ) from error
    return out_path


def _identifiers(session: Session) -> list[str]:
    """The identifiers of the tracks that the project's text holds, in its order."""
    if session.format == "rpp":
        return [track.identifier for track in session.walk()]
    shown = {id(track) for track in written_tracks(session)}
    hidden = {id(track) for track in session.tracks} - shown
    return [track.identifier for track in session.walk() if id(track) not in hidden]


class _Splice:
    """Lines of a text, with what is to be changed and added."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.end = "\r\n" if lines[0].endswith("\r\n") else "\n"
        self._changed: dict[int, str] = {}
        self._before: dict[int, list[str]] = defaultdict(list)
        self._after: dict[int, list[str]] = defaultdict(list)

    def change(self, number: int, words: str) -> None:
        """Replace line ``number`` but for its indentation."""
        self._changed[number] = self.indentation(number) + words + self.end

    def add_before(self, number: int, words: str) -> None:
        """Put a line in front of line ``number``, indented like it."""
        self._before[number].append(self.indentation(number) + words + self.end)

    def copy_before(self, number: int, block: Block) -> None:
        """Put a copy of ``block`` in front of line ``number``, without what must not occur twice."""
        self._before[number] += self.copied(block)

    def copied(self, block: Block) -> list[str]:
        """The lines of ``block`` without its identities."""
        lines = self.lines[block.first_line : block.last_line + 1]
        return [line for line in lines if line.split(maxsplit=1)[:1] not in [[one] for one in IDENTITIES]]

    def add_after(self, number: int, line: str) -> None:
        """Put a line, indentation and all, behind line ``number``."""
        self._after[number].append(line + self.end)

    def set(self, block: Block, name: str, words: str) -> None:
        """Change the line ``name`` of ``block``, or add it as its first."""
        found = block.line(name)
        if found.values:
            self.change(found.first_line, f"{name} {words}")
        else:
            self.add_after(block.first_line, f"{self.indentation(block.first_line)}  {name} {words}")

    def indentation(self, number: int) -> str:
        line = self.lines[number]
        return line[: len(line) - len(line.lstrip())]

    def text(self) -> str:
        """The new text."""
        parts: list[str] = []
        for number, line in enumerate(self.lines):
            parts += self._before.get(number, ())
            parts.append(self._changed.get(number, line))
            parts += self._after.get(number, ())
        return "".join(parts)


@dataclass
class _Row:
    """A track of the new project: an original, or a stem of one."""

    track: int
    """The original's index in the old project."""
    depth: int
    """The folder levels it opens (1) or ends (negative)."""
    stem: PlacedStem | None = None


def _rows(tracks: list[Block], stems: Mapping[int, Sequence[PlacedStem]]) -> list[_Row]:
    """All tracks in their new order, with folder depths that keep every track in its folder."""
    rows: list[_Row] = []
    level = 0
    for index, block in enumerate(tracks):
        depth = max(block.line("ISBUS").whole_at(1, 0), -level)
        level += depth
        rows.append(_Row(index, depth))
    # From the last to the first, so that what is put in does not move what is still to do.
    for index in sorted(stems, reverse=True):
        level = sum(row.depth for row in rows[:index])
        after = level
        for last in range(index, len(rows)):
            after += rows[last].depth
            if after <= level:
                break
        # The folders that ended with this family's last track end with its last stem now.
        rows[last].depth -= after - level
        new = [_Row(index, 0, stem) for stem in stems[index]]
        new[-1].depth = after - level
        rows[last + 1 : last + 1] = new
    return rows


def _edit_tracks(
    splice: _Splice,
    rows: list[_Row],
    tracks: list[Block],
    stems: Mapping[int, Sequence[PlacedStem]],
    folder: Path,
) -> None:
    anchor = tracks[0].first_line - 1 if tracks else 0
    new_places = {row.track: place for place, row in enumerate(rows) if row.stem is None}
    stem_places: dict[int, list[int]] = defaultdict(list)
    parents = _parents(tracks)
    receiving = {track for track in stems if _stays_open(tracks, parents, track)}
    detached = {track for track, parent in enumerate(parents) if parent in receiving}
    for place, row in enumerate(rows):
        block = tracks[row.track]
        if row.stem is not None:
            stem_places[row.track].append(place)
            for line in _stem_lines(splice, block, row.stem, row.depth, folder, row.track in detached):
                splice.add_after(anchor, line)
            continue
        anchor = block.last_line
        if row.depth != block.line("ISBUS").number_at(1, 0):
            splice.set(block, "ISBUS", is_bus(row.depth))
        if row.track in receiving:
            _mute_items(splice, block)
        elif row.track in stems:
            splice.set(block, "MUTESOLO", " ".join(["1", "0", *block.line("MUTESOLO").values[2:]]))
        if row.track in detached:
            splice.set(block, "MAINSEND", " ".join(["0", *(block.line("MAINSEND").values[1:] or ["0"])]))
    for block in tracks:
        # Sends name their source by its place, which has moved; a stem sends where its track did.
        for receive in block.lines("AUXRECV"):
            if len(receive.values) < 2:
                continue
            source = receive.whole_at(0, -1)
            rest = splice.lines[receive.first_line].split(maxsplit=2)[2].rstrip()
            for place in stem_places.get(source, ()):
                splice.add_before(receive.first_line, f"AUXRECV {place} {rest}")
                for envelope in _envelopes_of(block, receive):
                    splice.copy_before(receive.first_line, envelope)
            splice.change(receive.first_line, f"AUXRECV {new_places.get(source, source)} {rest}")


def _envelopes_of(track: Block, receive: Line) -> Iterator[Block]:
    """The envelopes of a receive, which follow it."""
    behind = dropwhile(lambda part: part is not receive, track.content)
    next(behind)
    for part in behind:
        if not (isinstance(part, Block) and part.name in SENDS):
            return
        yield part


def _parents(tracks: list[Block]) -> list[int | None]:
    """The folder that each track lies in, by its index."""
    parents: list[int | None] = []
    around: list[int] = []
    for index, block in enumerate(tracks):
        parents.append(around[-1] if around else None)
        depth = block.line("ISBUS").whole_at(1, 0)
        if depth > 0:
            around.append(index)
        elif depth < 0:
            del around[max(0, len(around) + depth) :]
    return parents


def _stays_open(tracks: list[Block], parents: list[int | None], track: int) -> bool:
    """Whether a track gets audio that is not in its stems: what others send to it beside its own clips."""
    receives = any(
        line.number_at(4, 0) == 0 and line.whole_at(7, 0) >= 0 for line in tracks[track].lines("AUXRECV")
    )
    if not receives:
        return False
    for index, block in enumerate(tracks):
        ancestor: int | None = index
        while ancestor is not None and ancestor != track:
            ancestor = parents[ancestor]
        if ancestor == track and any(True for _ in block.blocks("ITEM")):
            return True
    return False


def _mute_items(splice: _Splice, track: Block) -> None:
    for item in track.blocks("ITEM"):
        splice.set(item, "MUTE", " ".join(["1", *(item.line("MUTE").values[1:] or ["0"])]))


def _stem_lines(
    splice: _Splice, track: Block, stem: PlacedStem, depth: int, folder: Path, detached: bool
) -> Iterator[str]:
    """A ``<TRACK`` with the stem as its only item and the strip of ``track``."""
    name = f"{displayed(track.line('NAME').text(0))} {stem.name}".strip()
    identifier = guid("stem", track.line("TRACKID").text(0) or track.text(0), stem.name, stem.path)
    yield f"  <TRACK {identifier}"
    yield f"    NAME {quoted(name)}"
    for line in track.lines(*(name for name in STRIP_LINES if not (stem.muted and name == "MUTESOLO"))):
        if line.name == "MAINSEND" and detached:
            continue
        if line.name.startswith("GROUP_FLAGS") and len(line.values) > VCA_LEADS:
            # It follows where its track did, and must not lead: each leader's fader counts once.
            yield " ".join(["   ", line.name, *line.values[:VCA_LEADS], "0", *line.values[VCA_LEADS + 1 :]])
        else:
            yield "    " + splice.lines[line.first_line].strip()
    if detached:
        yield "    MAINSEND 0 0"
    if stem.muted:
        yield "    MUTESOLO 1 0 0"
    yield f"    ISBUS {is_bus(depth)}"
    yield f"    TRACKID {identifier}"
    for block in track.blocks(*STRIP_BLOCKS):
        yield from (line.rstrip("\r\n") for line in splice.copied(block))
    path = stem.path.absolute()
    clip = Clip(path, stem.position_seconds, stem.length_seconds, gain=stem.gain, name=name)
    yield from item_lines(clip, folder, guid("stem item", identifier))
    yield "  >"


def _rename_media(splice: _Splice, tracks: list[Block], old_folder: Path, new_folder: Path) -> None:
    """Relative names count from the project's folder, which is another one now."""
    for track in tracks:
        for item in track.blocks("ITEM"):
            sources = list(item.blocks("SOURCE"))
            while sources:
                source = sources.pop()
                sources += source.blocks("SOURCE")
                for file in source.lines("FILE"):
                    name = file.text(0)
                    if not name or Path(name).is_absolute() or PureWindowsPath(name).drive:
                        continue
                    path = old_folder / (PureWindowsPath(name).as_posix() if "\\" in name else name)
                    words = " ".join(["FILE", quoted(relative_name(path, new_folder)), *file.values[1:]])
                    splice.change(file.first_line, words)
