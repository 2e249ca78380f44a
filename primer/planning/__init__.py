"""What a model costs and whether its settings take effect, found without running it."""
