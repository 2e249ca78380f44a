"""Layer stacks: where the norms stand, and which layers add to the same input."""
