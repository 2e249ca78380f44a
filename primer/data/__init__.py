"""Texts as tasks: sources, vocabularies, whole-document streams, and checks before a long run."""
