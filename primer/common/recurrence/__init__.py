"""What the rows of a batch hand to the rows of the next one."""
