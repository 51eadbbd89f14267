"""Which route's output goes into which route's input: Ardour's ports and connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class Connection:
    """A route's output as a whole, as far as one other route receives it."""

    target: str
    """The id of the route that receives it."""
    channels: tuple[tuple[int, int], ...]
    """Output channel to input channel, both from 0."""

    @property
    def is_plain(self) -> bool:
        """Whether each output goes to the input of the same number."""
        return all(output == wanted for output, wanted in self.channels)


class Routing:
    """All connections between routes."""

    def __init__(self, routes: Sequence[Element]) -> None:
        inputs: dict[str, tuple[str, int]] = {}
        outputs: dict[str, tuple[str, int]] = {}
        links: set[tuple[str, str]] = set()
        for route in routes:
            identifier = route.get("id", "")
            for direction, places in (("Input", inputs), ("Output", outputs)):
                for channel, port in enumerate(audio_ports(route, direction)):
                    name = _port_name(port.get("name", ""))
                    places[name] = (identifier, channel)
                    for connection in port.iterfind("Connection"):
                        other = _port_name(connection.get("other", ""))
                        links.add((other, name) if direction == "Input" else (name, other))
        found: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        self._elsewhere: dict[str, list[str]] = defaultdict(list)
        for output, wanted in sorted(links):
            if output not in outputs:
                continue
            source, channel = outputs[output]
            if wanted in inputs:
                target, into = inputs[wanted]
                found[source, target].add((channel, into))
            else:
                self._elsewhere[source].append(wanted)
        self._found: dict[str, list[Connection]] = defaultdict(list)
        for (source, target), channels in found.items():
            self._found[source].append(Connection(target, tuple(sorted(channels))))

    def of(self, identifier: str) -> list[Connection]:
        """Where the route with this id goes."""
        return self._found.get(identifier, [])

    def elsewhere(self, identifier: str) -> list[str]:
        """The ports outside the session that the route goes to."""
        return self._elsewhere.get(identifier, [])


def audio_ports(route: Element, direction: str) -> Iterator[Element]:
    """The audio ports of a route's own input or output."""
    for io in route.iterfind("IO"):
        if io.get("direction") == direction:
            for port in io.iterfind("Port"):
                if port.get("type", "audio") == "audio":
                    yield port


def _port_name(name: str) -> str:
    """Names without that of the program, which old sessions write down."""
    return name.removeprefix("ardour:")
