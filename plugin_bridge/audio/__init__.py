"""Audio files: what they are; reading and writing them, with time stamps and tags."""
