"""Compiles the operations of a step with XLA, as one computation for each device of the mesh."""
