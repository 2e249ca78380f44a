"""Segment-level recurrence: attention layers with a memory of earlier segments."""
