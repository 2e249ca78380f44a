"""The training loop: steps, checkpoints, validation, summaries, progress."""
