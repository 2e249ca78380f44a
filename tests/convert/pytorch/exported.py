"""Writes PyTorch exports of models with random weights, and asks PyTorch what they compute."""

import json
import os
import subprocess

import numpy as np
import pytest

from primer.convert.pytorch import folder as pytorch_folder
from primer.runtime import model_function
from tests.layers import composition_checks, helpers
from tests.paths import ROOT

PYTHON = ROOT / ".venv-torch" / "bin" / "python"
SCRIPT = ROOT / "tests" / "convert" / "pytorch" / "torch_side.py"
NEEDS_TORCH = pytest.mark.skipif(not PYTHON.exists(), reason="needs .venv-torch: make env-torch")
LENGTH = 24
# Five texts, and one.
SEGMENTS = np.array([np.repeat([1, 2, 3, 4, 5], [7, 1, 2, 9, 5]), np.ones(LENGTH, int)])
TARGETS = np.random.default_rng(5).integers(2, 97, SEGMENTS.shape).astype(np.int32)


class Vocabulary:
    """Stands for that of a task."""

    vocab_size, eos_id = 97, 1

    def identity(self):
        """Returns a text for the description."""
        return "of a test"


def inputs():
    """Returns the ids that the model reads: each text begins with 0."""
    before = np.pad(TARGETS, ((0, 0), (1, 0)))[:, :-1]
    return np.where(np.diff(SEGMENTS, axis=1, prepend=-1) != 0, 0, before)


def write(case, folder):
    """Writes the export of a case's model with random weights and returns its logits here."""
    variables = composition_checks.variables_of(case)
    function = model_function.of_model(case.build(), Vocabulary(), LENGTH)
    special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    described = {**function.description, "title": "of a test", "end_token_id": 1}
    described |= {"length": LENGTH, "token_ids": Vocabulary.vocab_size}
    folder.mkdir(parents=True)
    pytorch_folder.write(str(folder), described, variables, special, None)
    return helpers.call(case.build(), variables, TARGETS, sequence_id=SEGMENTS, exact=True)[
        "logits"
    ]


def ask(folders, tmp_path, transformers=()):
    """Returns {"name/what": array} of what PyTorch computes from folders, in one process."""
    given, output = tmp_path / "asked.json", tmp_path / "answer.npz"
    asked = {"rows": inputs().tolist(), "segments": SEGMENTS.tolist()}
    asked["folders"] = {name: str(folder) for name, folder in folders.items()}
    given.write_text(json.dumps({**asked, "transformers": list(transformers)}))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    environment["HF_HOME"] = str(tmp_path / "hub")
    subprocess.run([PYTHON, SCRIPT, given, output], check=True, env=environment)
    with np.load(output) as found:
        return dict(found)


def check(cases, tmp_path, transformers=()):
    """Compares the logits of cases {name: Case}: packed, of one text at once, and in steps."""
    folders = {name: tmp_path / f"export_{i}" for i, name in enumerate(cases)}
    expected = {name: write(case, folders[name]) for name, case in cases.items()}
    found = ask(folders, tmp_path, transformers)
    errors = [str(value) for name, value in found.items() if name.endswith("/error")]
    assert not errors, "\n".join(errors)
    for name, logits in expected.items():
        count = found[f"{name}/packed"].shape[-1]
        text = logits[-1:, :, :count]
        for what, ours in {"packed": logits[..., :count], "whole": text, "steps": text}.items():
            np.testing.assert_allclose(
                found[f"{name}/{what}"], ours, rtol=0, atol=1e-4, err_msg=f"{name}: {what}"
            )
    return found
