"""Runs t5's main, Primer's or stock, and writes the wall time of each step's end to a file.

STEP_TIMES=FILE python benchmarks/timed_main.py ours|stock (t5_mesh_transformer's flags)
"""

import os
import sys
import time


def note_steps(path: str) -> None:
    """Makes each step of the training session append its end time to a file."""
    from tensorflow.python.training import monitored_session

    stock_run = monitored_session._MonitoredSession.run

    def run(session, *args, **kwargs):
        result = stock_run(session, *args, **kwargs)
        with open(path, "a", encoding="utf-8") as lines:
            lines.write(f"{time.time()}\n")
        return result

    monitored_session._MonitoredSession.run = run


def main() -> None:
    """Runs the command of the first argument, "ours" or "stock"."""
    which = sys.argv.pop(1)
    sys.argv[0] = "t5_mesh_transformer"  # The name that patches and flags check.
    if which == "stock":
        import stock_main

        start = stock_main.main
    else:
        from t5.models import mesh_transformer_main

        start = mesh_transformer_main.console_entry_point
    note_steps(os.environ["STEP_TIMES"])
    start()


if __name__ == "__main__":
    main()
