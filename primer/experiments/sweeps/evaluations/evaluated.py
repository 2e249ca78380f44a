"""Which checkpoints of a run have been evaluated: `evaluations.json` in the run's directory.

The numbers are in the files of `primer eval`, which scores no checkpoint twice. This record saves
its start, and can be deleted.
"""

import json
import os
from collections.abc import Mapping

from primer.experiments.sweeps import run_record, whole_files
from primer.experiments.sweeps.evaluations.request import Evaluation

RECORD, LOCK, LOG = "evaluations.json", "evaluation.lock", "evaluation.txt"

Stamp = list[int]  # Size and time of a checkpoint's index: a step that is trained again differs.


def stamps(model_dir: str, steps: list[int]) -> dict[int, Stamp]:
    """Returns {step: stamp} of the checkpoints that are still there."""
    found = {}
    for step in steps:
        try:
            status = os.stat(run_record.checkpoint_index(model_dir, step))
        except OSError:
            continue
        found[step] = [status.st_size, status.st_mtime_ns]
    return found


def read(model_dir: str) -> dict[str, dict[str, Stamp]]:
    """Returns {key of an evaluation: {step: stamp}}; {} without a record that can be read."""
    try:
        with open(os.path.join(model_dir, RECORD), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    is_record = isinstance(content, dict) and all(isinstance(v, dict) for v in content.values())
    return content if is_record else {}


def add(model_dir: str, evaluation: Evaluation, done: Mapping[int, Stamp]) -> None:
    """Records checkpoints that have been evaluated; raises OSError.

    The caller holds LOCK.
    """
    record = read(model_dir)
    own = {**record.get(evaluation.key, {}), **{str(step): s for step, s in done.items()}}
    whole_files.write_json(os.path.join(model_dir, RECORD), {**record, evaluation.key: own})


def missing(model_dir: str, evaluation: Evaluation, is_done: bool) -> dict[int, Stamp]:
    """Returns {step: stamp} of the wanted checkpoints that have not been evaluated.

    Args:
        model_dir: the run's directory.
        evaluation: what is wanted.
        is_done: whether the run is done.
    """
    steps = evaluation.wanted(run_record.checkpoint_steps(model_dir), is_done)
    known = read(model_dir).get(evaluation.key, {})
    return {s: stamp for s, stamp in stamps(model_dir, steps).items() if known.get(str(s)) != stamp}
