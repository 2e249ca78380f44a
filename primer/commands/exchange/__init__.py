"""The commands that bring models and their numbers in and out."""
