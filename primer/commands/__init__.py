"""The subcommands of `primer`, one module each: parsing and printing; the work is done below."""
