"""Modules that t5 and TensorFlow import and that most runs never use: executed when first used."""
