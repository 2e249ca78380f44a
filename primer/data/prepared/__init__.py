"""Tokenized, sharded records of a task: written once, read by training at full speed."""
