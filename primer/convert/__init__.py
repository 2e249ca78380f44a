"""Other systems' models, weights and settings, in and out."""
