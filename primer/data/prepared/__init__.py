"""Tokenized records of a task in shards, written once for fast reading by training."""
