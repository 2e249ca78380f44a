"""What the runs of a sweep take, before they start: `primer sweep plan`."""
