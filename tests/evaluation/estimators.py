"""What `utils.run` passes to an evaluation: a model of gin, its settings, and a directory."""

import json
import types

import gin
import numpy as np
import t5.models  # noqa: F401  Registers mesh_train_dataset_fn.

from primer.data import preflight
from tests.evaluation import tiny


def make(tmp_path, lines):
    """An estimator of the configured model, with two checkpoints, on lines of text."""
    (tmp_path / "own.txt").write_text("\n".join(lines))
    settings = ["text_files.unit = 'line'", "text_files.held_out = 0.0"]
    settings += [f"text_files.glob = '{tmp_path}/own.txt'", "task_vocabulary.name = 'bytes'"]
    settings += ["mesh_train_dataset_fn.mixture_or_task_name = 'text'"]
    gin.parse_config(settings)
    model_dir = tmp_path / "run"
    model_dir.mkdir()
    ids = np.full([1, tiny.LENGTH], 5)
    for step, scale in ((1, 1.0), (2, 0.0)):
        tiny.save_and_logits(model_dir, ids, scale, step)
    return of_directory(model_dir)


def of_directory(model_dir):
    """An estimator of the configured model and task in a directory with checkpoints."""
    return types.SimpleNamespace(
        model_dir=model_dir,
        model=tiny.model(),
        settings={
            "sequence_length": {"targets": tiny.LENGTH},
            "vocabulary": preflight.find_task("text").output_features["targets"].vocabulary,
            "mesh_shape": "",
            "layout_rules": "",
        },
    )


def lines_of(estimator):
    """The rows of the evaluation's file."""
    (path,) = (estimator.model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]
