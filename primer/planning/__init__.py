"""What a model costs and whether its settings take effect, told before anything runs."""
