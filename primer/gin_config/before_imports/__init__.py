"""Checks of a command's gin files and bindings as text, before TensorFlow is imported.

They refuse only what the run would refuse after its imports, and are silent where they cannot know.
"""
