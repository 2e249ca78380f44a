"""Steps of training that are timed and traced."""
