"""Building vocabularies from the texts of a task's training split."""
