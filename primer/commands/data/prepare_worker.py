"""Starts a worker process of `primer data prepare`, with the parent's modules and gin settings."""

import contextlib
import os
from typing import Any

from primer.commands.data import text_options
from primer.planning.plans import engine_imports

# Contexts that stay open until the worker process ends. `start_worker` is a process initializer: it
# returns before the work begins, and multiprocessing and Beam give it no later call to close them.
_process_contexts = contextlib.ExitStack()


def start_worker(plan: dict[str, Any], reports: Any = None) -> None:
    """Configures a new process: patches TensorFlow, imports modules, sets gin's parameters.

    Args:
        plan: the fields of a `primer.data.prepared.plan.Plan`; not the object itself, whose module
            needs the patches that this function installs.
        reports: a multiprocessing queue for the bytes of text that are done; None for no reports.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from primer.common import console

    text_options.prepare_imports()
    # Discards the messages of TensorFlow's libraries.
    _process_contexts.enter_context(console.redirected_to_log(None, "prepare"))
    engine_imports.import_modules(["primer.data.preflight", *plan["modules"]])
    import gin
    import t5.data

    if plan["tfds_data_dir"]:
        t5.data.set_tfds_data_dir_override(plan["tfds_data_dir"])
    with gin.unlock_config():
        # The settings may bind configurables that are not imported here (layers, a trainer).
        gin.parse_config(plan["gin"], skip_unknown=True)
    if reports is not None:
        from primer.data.prepared import pool

        pool.initialize_worker(reports)
