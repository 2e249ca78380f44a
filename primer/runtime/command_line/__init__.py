"""What Primer adds around a run of t5's command: flags, checks, a log file, one-line errors."""
