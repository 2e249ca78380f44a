"""Evaluation in a sweep: which checkpoints, their processes, the rule of hopeless runs, results."""
