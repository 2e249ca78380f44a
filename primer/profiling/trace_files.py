"""The files of a profile: JSON, a picture, and TensorFlow's own trace for two viewers.

Chrome's `chrome://tracing` and https://ui.perfetto.dev open the trace of one step, with what ran
when on which device. TensorBoard's graph page colors the graph by the time and memory of each
operation, from the events: the graph, and a RunMetadata for each traced step.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from typing import Any

import tensorflow.compat.v1 as tf
from tensorflow.python.client import timeline

from primer.common import files
from primer.profiling import data, figure
from primer.profiling.profile import Profile
from primer.runtime import session

DATA, PICTURE, TRACE = "profile.json", "profile.png", "trace.json"


def write(directory: str, profile: Profile, traces: Sequence[Any], graph: tf.Graph) -> list[str]:
    """Writes all files of a profile; those of an earlier one are replaced.

    Args:
        directory: the folder, local or remote.
        profile: the profile.
        traces: a RunMetadata for each traced step; the last one is Chrome's.
        graph: the graph of the step.

    Returns:
        The names of the files in the folder, without the events.

    Raises:
        UsageError: a file cannot be written there.
    """
    text = json.dumps(data.of_profile(profile), indent=1) + "\n"
    files.write_output(os.path.join(directory, DATA), text.encode())
    figure.draw(profile, os.path.join(directory, PICTURE))
    files.write_output(os.path.join(directory, TRACE), chrome_trace(traces[-1]).encode())
    _write_events(directory, traces, graph)
    return [DATA, PICTURE, TRACE]


def chrome_trace(trace: Any) -> str:
    """Returns a trace in Chrome's format.

    Args:
        trace: the RunMetadata of a step.
    """
    return timeline.Timeline(trace.step_stats).generate_chrome_trace_format(show_memory=False)


def _write_events(directory: str, traces: Sequence[Any], graph: tf.Graph) -> None:
    """Writes the graph and the traces for TensorBoard."""
    for old in files.matching_files(directory, r"events\.out\.tfevents\..*"):
        tf.io.gfile.remove(old)  # TensorBoard would show the graphs of both.
    with contextlib.closing(session.event_writer(directory)) as writer:
        writer.add_graph(graph)
        for number, trace in enumerate(traces, 1):
            writer.add_run_metadata(trace, f"traced_step_{number}", number)
