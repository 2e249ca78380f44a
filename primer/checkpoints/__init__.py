"""Checkpoints and model directories: reading, selecting, averaging, locking."""
