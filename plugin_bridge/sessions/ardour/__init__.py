"""Ardour sessions: reading (versions 3 to 8), and stems as a new snapshot beside the user's."""
