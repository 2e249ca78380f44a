"""The log-probability of every document and every token: what `primer score` writes."""
