"""Differences of models on one text, document by document, from the sums kept with each result."""
