"""t5's main, ours or stock, with the wall time at which every training step ends in a file.

STEP_TIMES=FILE python benchmarks/timed_main.py ours|stock (t5_mesh_transformer's flags)
"""

import os
import sys
import time


def note_steps(path):
    """Writes a line with the time at each end of a step of the session that trains."""
    from tensorflow.python.training import monitored_session

    stock_run = monitored_session._MonitoredSession.run

    def run(session, *args, **kwargs):
        result = stock_run(session, *args, **kwargs)
        with open(path, "a", encoding="utf-8") as lines:
            lines.write(f"{time.time()}\n")
        return result

    monitored_session._MonitoredSession.run = run


def main():
    which = sys.argv.pop(1)
    sys.argv[0] = "t5_mesh_transformer"  # Patches and flags read the name of this command.
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
