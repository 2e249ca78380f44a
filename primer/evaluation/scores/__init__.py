"""Log-probabilities of documents and tokens: `primer score`."""
