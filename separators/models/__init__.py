"""Other people's trained models in local files: where they lie, how they are read, how they are run."""
