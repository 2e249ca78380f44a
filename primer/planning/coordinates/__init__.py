"""Whether the outputs of layers keep their size at every width in training (a coordinate check)."""
