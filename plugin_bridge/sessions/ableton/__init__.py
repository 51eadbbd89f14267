"""Ableton Live sets (``.als``): XML packed by gzip."""
