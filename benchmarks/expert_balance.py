"""Experts trained with and without a balance loss: validation loss, and how equal their load is.

    make env && .venv/bin/python benchmarks/expert_balance.py --text tinyshakespeare.txt

A language model of two layers over characters, each feed-forward layer FastMoE's: gating "naive",
two experts of a token, no capacity. The last tenth of the text is the validation split. Equal steps
and rows for each balance loss; FastMoE's example has none. Writes a dated markdown file to
`benchmarks/results/`.
"""

import argparse
import datetime
import functools
import pathlib

import numpy as np

from primer.runtime import import_hook

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow import optimize  # noqa: E402
from mesh_tensorflow.transformer import transformer  # noqa: E402

from primer.common import graph_marks  # noqa: E402
from primer.evaluation.windows.routing import RoutingStatistics  # noqa: E402
from primer.layers import MixtureOfExperts, MultiHeadAttention  # noqa: E402

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
ROWS, LENGTH, D_MODEL, EXPERTS = 16, 64, 128, 16


def model(balance_loss: str, vocabulary: int) -> transformer.Unitransformer:
    """Returns the model with a balance loss of the experts."""
    attention = {"num_heads": 4, "key_value_size": 32, "relative_attention_type": "bias_shared"}
    experts = {
        "num_experts": EXPERTS,
        "hidden_size": D_MODEL,
        "use_bias": True,
        "gating": "naive",
        "num_experts_per_token": 2,
        "capacity_factor_train": None,
        "capacity_factor_eval": None,
        "balance_loss": balance_loss,
    }
    sublayers = [
        transformer.sublayer_rms_norm,
        transformer.sublayer_call_layer,
        transformer.sublayer_residual,
    ]
    stack = transformer.make_layer_stack(
        layers=[(MultiHeadAttention, attention), (MixtureOfExperts, experts)],
        layer_stack_cls=functools.partial(
            transformer.LayerStack,
            sublayers_initial=[],
            sublayers_per_layer=sublayers,
            sublayers_final=[transformer.sublayer_rms_norm],
        ),
        num_layers=2,
    )
    return transformer.Unitransformer(
        stack,
        d_model=D_MODEL,
        input_vocab_size=vocabulary,
        output_vocab_size=vocabulary,
        autoregressive=True,
        max_length=LENGTH,
        positional_embedding=False,
    )


def train(ids: np.ndarray, balance_loss: str, steps: int) -> tuple[float, list[list[float]]]:
    """Trains a model.

    Args:
        ids: the text, 1 and more.
        balance_loss: as in MixtureOfExperts.
        steps: the number of steps.

    Returns:
        The validation loss in nats per character, and the load of the experts of each layer.
    """
    cut = len(ids) * 9 // 10
    rows = ids[cut:][: (len(ids) - cut) // LENGTH * LENGTH].reshape(-1, LENGTH)[: 20 * ROWS]
    network = model(balance_loss, int(ids.max()) + 1)
    draw = np.random.default_rng(0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        graph_marks.collect_routing()
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "mesh")
        feed = tf.placeholder(tf.int32, [ROWS, LENGTH])
        shape = mtf.Shape([mtf.Dimension("batch", ROWS), mtf.Dimension("length", LENGTH)])
        targets = mtf.import_tf_tensor(mesh, feed, shape)

        def loss(mode: str) -> mtf.Tensor:
            inputs = transformer.autoregressive_inputs(targets)
            return network.call_simple(inputs, targets, compute_loss=True, mode=mode)[1]

        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            trained, evaluated = loss("train"), loss("eval")
        variables = graph.trainable_variables
        gradients = mtf.gradients([trained], [v.value for v in variables])
        updates = optimize.AdafactorOptimizer(0.02).apply_grads(gradients, variables)
        routing = RoutingStatistics()
        implementation = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
        lowering = mtf.Lowering(graph, {mesh: implementation})
        routing.export(lowering)
        value = lowering.export_to_tf_tensor(evaluated)
        update = tf.group(*(lowering.lowered_operation(operation) for operation in updates))
        session.run(tf.global_variables_initializer())
        session.run(lowering.copy_masters_to_slices())
        for _ in range(steps):
            starts = draw.integers(0, cut - LENGTH, ROWS)
            session.run(update, {feed: ids[starts[:, None] + np.arange(LENGTH)]})
        losses = []
        for batch in np.split(rows, len(rows) // ROWS):
            nats, values = session.run((value, routing.fetches), {feed: batch})
            routing.add(values, batch > 0)
            losses.append(nats)
    return float(np.mean(losses)), [r["load"] for r in routing.as_result().values()]


def main() -> None:
    """Trains the models and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--losses", nargs="+", default=["none", "gshard", "switch", "importance"])
    arguments = parser.parse_args()
    text = arguments.text.read_text(encoding="utf-8")
    ids = np.unique(list(text), return_inverse=True)[1].astype(np.int32) + 1
    lines = ["| balance loss | nats per character | highest load, first layer | second layer |"]
    lines.append("|---|---|---|---|")
    for balance_loss in arguments.losses:
        nats, loads = train(ids, balance_loss, arguments.steps)
        highest = [f"{max(load) * EXPERTS:.2f}" for load in loads]
        lines.append(f"| {balance_loss} | {nats:.3f} | {' | '.join(highest)} |")
        print(lines[-1], flush=True)
    date = datetime.date.today().isoformat()
    page = (
        f"# Experts with and without a balance loss, {date}\n\n"
        f"Two layers, d_model {D_MODEL}, {EXPERTS} experts of width {D_MODEL}, two of a token, no "
        f"capacity; {arguments.steps} steps of {ROWS} x {LENGTH} characters of "
        f"{arguments.text.name}, one seed. The highest load of an expert is a multiple of its even "
        "share, on the validation split. loss_coef is 0.01.\n\n" + "\n".join(lines) + "\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"expert_balance_{date}.md").write_text(page)


if __name__ == "__main__":
    main()
