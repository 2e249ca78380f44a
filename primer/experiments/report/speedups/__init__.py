"""The compute that reaches the final loss of the baseline, where schedules make losses final."""
