"""Synthetic probes as tasks: associative recall, copying, induction; only the answers are scored."""
