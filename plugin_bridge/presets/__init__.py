"""Preset files <-> boards: reading and checking, chains, the JSON schema."""
