"""The numbers of a run, handed on: to a tracker while it trains, and out of its event files."""
