"""DAW sessions: one reader a format, all into the same :class:`Session`."""

from plugin_bridge.sessions.formats import find_sessions, open_session
from plugin_bridge.sessions.model import Clip, Session, Track

__all__ = ["Clip", "Session", "Track", "find_sessions", "open_session"]
