"""The output of commands on the terminal: tables, verdicts and progress."""
