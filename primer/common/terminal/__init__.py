"""Tables on the terminal, and numbers as text."""
