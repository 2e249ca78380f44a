"""What a weight is for, read from its name and its dimensions: matrices, tables, vectors."""
