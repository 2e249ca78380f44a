"""The commands that bring models in and out: `primer export`, `primer import`."""
