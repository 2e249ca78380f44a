"""The memory of a run: what a step is predicted to need, what there is, and what it took."""
