"""Texts as seqio tasks: sources, vocabularies, objectives, prepared data, and their checks."""
