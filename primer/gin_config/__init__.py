"""Gin files and bindings: finding, reading and checking them; gin's private state."""
