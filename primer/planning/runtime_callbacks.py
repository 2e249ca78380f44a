"""The callbacks that planning adds to a run of training; `t5_imports` imports this module.

Before the run reads its data they check the schedule, the optimizer, the mesh and the layout.
While its session is made they predict the memory of a step. Before the first step they warn of the
user's settings without effect, and add the slots to the operative configuration in the model
directory.
"""

import os

import tensorflow.compat.v1 as tf

from primer.common import console, files
from primer.gin_config import findings, slots
from primer.planning import run_memory, run_warnings, schedule_curve
from primer.planning.layouts import run_check
from primer.runtime import callbacks


@callbacks.before_run
def check_optimization(mode: str) -> None:
    """Raises UsageError for a wrong setting of the schedule or the optimizer of training."""
    if mode in ("train", "finetune"):
        schedule_curve.check_optimization()


@callbacks.before_run
def check_mesh_and_layout(mode: str) -> None:
    """Raises UsageError for a mesh or a layout that does not fit the model that is trained."""
    if mode in ("train", "finetune"):
        run_check.check_run()


callbacks.set_memory_planner(run_memory.RunMemory())


@callbacks.at_start
def warn_of_settings_without_effect(model_dir: str) -> None:
    """Prints a warning for each of the user's own settings that takes no effect."""
    del model_dir
    for line in run_warnings.warning_lines(*callbacks.command_line()):
        console.say(f"Warning: {line}")


@callbacks.at_start
def add_slots_to_operative_config(model_dir: str) -> None:
    """Writes the slots above the operative configuration that gin's hook wrote, if it did."""
    path = os.path.join(model_dir, findings.OPERATIVE_CONFIG)
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as file:
        before = file.read()
    after = slots.with_slot_header(before)
    if after == before:
        return
    files.write_whole(path, after)
