"""Evaluation of models whose rows continue the rows before them (segment-level recurrence)."""
