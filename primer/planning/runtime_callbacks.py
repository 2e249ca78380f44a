"""What planning adds to a run of training; `t5_imports` imports it.

Before the first step, the user hears which of his settings take no effect, and the operative
configuration in the model directory gets the slots at its top.
"""

import os

import tensorflow.compat.v1 as tf

from primer.common import console, files
from primer.gin_config import findings, slots
from primer.planning import run_warnings
from primer.runtime import callbacks


@callbacks.at_start
def warn_of_settings_without_effect(model_dir):
    """Prints a line for each setting of the user's own without effect."""
    del model_dir
    for line in run_warnings.warning_lines(*callbacks.command_line()):
        console.say(f"Warning: {line}")


@callbacks.at_start
def add_slots_to_operative_config(model_dir):
    """Puts the slots above what gin's hook has written when the session began."""
    path = os.path.join(model_dir, findings.OPERATIVE_CONFIG)
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as written:
        before = written.read()
    after = slots.with_slot_header(before)
    if after == before:
        return
    files.write_whole(path, after)
