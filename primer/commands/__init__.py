"""The subcommands of `primer`, one module each."""
