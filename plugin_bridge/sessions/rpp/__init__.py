"""REAPER projects: text, tracks, items, MIDI; a fresh project; stems spliced into the user's."""
