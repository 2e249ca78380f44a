"""The wiring of each architecture equals its golden file; shapes do not show pre- or post-norm.

After an intended change of an architecture, run the tests with PRIMER_WRITE_GOLDEN=1 and review the
changes in tests/gin/golden/.
"""

import json
import os
import pathlib
import sys

import pytest

from primer.common.class_names import class_name
from primer.gin_config import config_files
from primer.planning import run_graph
from tests import gin_models

GOLDEN = pathlib.Path(__file__).parent / "golden"


class SublayerCalls:
    """Records the order of `sublayer_*` calls, for any class of stack."""

    def __init__(self):
        self.calls = []
        self._depth = 0

    def __enter__(self):
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *error):
        sys.setprofile(None)

    def _on_event(self, frame, event, argument):
        code = frame.f_code
        if not code.co_name.startswith("sublayer_"):
            return
        if event == "call":
            # Nested calls are not made by the stack.
            if not self._depth:
                self.calls.append(code.co_name)
            self._depth += 1
        elif event == "return":
            self._depth -= 1


def wiring(load, architecture, mode):
    """Returns the classes of a tiny model and the sublayers called around each layer."""
    load(config_files.composition_files(architecture, "squared_relu", "tiny"))
    with SublayerCalls() as recorder:
        model, graph = run_graph.build_forward(97, mode)
    stack = model.layer_stack
    layers, rest = split_by_layer(recorder.calls, len(stack.layers))
    return {
        "layer_stack": type(stack).__name__,
        "initial": rest[0],
        "layers": [
            {"class": class_name(layer), "name": layer.name, "sublayers": sublayers}
            for layer, sublayers in zip(stack.layers, layers, strict=True)
        ],
        "final": rest[1],
        "variables": {v.name: v.shape.to_integer_list for v in graph.trainable_variables},
    }


def split_by_layer(names, number):
    """Splits the calls after each residual; returns those of the layers, and (initial, final)."""
    ends = [place for place, name in enumerate(names) if name == "sublayer_residual"]
    assert len(ends) == number
    pieces = [names[a + 1 : b + 1] for a, b in zip([-1, *ends[:-1]], ends, strict=True)]
    # The only initial sublayer of the stack is a dropout.
    return [pieces[0][1:], *pieces[1:]], (pieces[0][:1], names[ends[-1] + 1 :])


@pytest.mark.parametrize(
    "architecture", gin_models.architecture_params(config_files.names_of_kind("architectures"))
)
def test_wiring_is_as_recorded(architecture, load):
    found = wiring(load, architecture, "train")
    assert found == wiring(load, architecture, "eval")
    path = GOLDEN / f"{architecture}.json"
    if os.environ.get("PRIMER_WRITE_GOLDEN"):
        path.write_text(json.dumps(found, indent=1) + "\n")
    expected = json.loads(path.read_text())
    assert found == expected, json.dumps(found, indent=1)


def test_every_golden_file_has_its_architecture():
    files = {path.stem for path in GOLDEN.glob("*.json")}
    assert files == set(config_files.names_of_kind("architectures"))


def test_primer_normalizes_before_attention_and_after_feed_forward():
    """Checks the golden files against the paper's wiring."""
    layers = json.loads((GOLDEN / "primer.json").read_text())["layers"]
    for layer in layers:
        order = layer["sublayers"]
        before = order.index("sublayer_primer_norm") < order.index("sublayer_call_layer")
        assert before == (layer["class"] == "MDHA"), layer
    released = json.loads((GOLDEN / "primer_as_released.json").read_text())["layers"]
    assert all(layer["sublayers"][0] == "sublayer_primer_norm" for layer in released)
