"""Pedalboard plug-ins: separators as plug-ins, boards and racks, third-party plug-ins in a child process."""
