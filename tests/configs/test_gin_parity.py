"""The compositions of our gin files compute what the original's gin files computed.

tests/layers has the layers' own parity; what is tested here is what gin wires around them: the
sublayers and their order, biases, tied embeddings, positions.
"""

import pathlib

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer import config_files

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
VOCABULARY = 97
PARTS = {
    "primer": ("primer", "squared_relu"),
    "primer_as_released": ("primer_as_released", "squared_relu"),
    "primer_ez": ("primer_ez", "squared_relu"),
    "transformer_vanilla": ("transformer", "relu"),
}


def evaluate(arrays):
    """Logits and loss of the model that gin describes, with the variables of a golden file."""
    targets = arrays["targets"]
    with tf.Graph().as_default(), tf.Session() as session:
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "parity")
        model = utils.build_model("lm", VOCABULARY, VOCABULARY, mtf.LayoutRules([]), mtf.Shape([]))
        shape = mtf.Shape([mtf.Dimension("batch", 3), mtf.Dimension("length", targets.shape[1])])
        ids = mtf.import_tf_tensor(mesh, targets, shape)
        present = mtf.cast(mtf.not_equal(ids, 0), tf.int32)
        outputs = model.call_simple(
            inputs=transformer.autoregressive_inputs(ids, sequence_id=present),
            targets=ids,
            compute_loss=True,
            mode="eval",
            variable_dtype=mtf.VariableDType(tf.float32),
            sequence_id=present,
        )
        implementation = mtf.placement_mesh_impl.PlacementMeshImpl([], [], [""])
        lowering = mtf.Lowering(graph, {mesh: implementation}, autostack=False)
        fetches = [lowering.export_to_tf_tensor(output) for output in outputs]
        variables = {v.name: v for v in graph.trainable_variables}
        assert set(variables) == {k[4:] for k in arrays.files if k.startswith("var/")}
        for name, variable in variables.items():
            value = arrays[f"var/{name}"]
            session.run(
                [
                    tf.assign(piece, value)
                    for piece in lowering.variables[variable].laid_out_tensor.tensor_list
                ]
            )
        return session.run(fetches)


@pytest.mark.parametrize("name", PARTS)
def test_composition_of(name, load):
    arrays = np.load(GOLDEN / f"{name}.npz")
    load(config_files.compose(*PARTS[name], "tiny"))
    logits, loss = evaluate(arrays)
    np.testing.assert_allclose(logits, arrays["logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5)
