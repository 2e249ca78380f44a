"""Time of a layer of experts against a dense layer and against the matrix products alone.

    make env && taskset -c 0 .venv/bin/python benchmarks/experts.py

Forward and backward pass of one layer in the shape of FastMoE's example: d_model 512, experts 1,024
wide, two for each token. Per number of experts, in one process by turns:

- dense: `DenseReluDense` of the width of the two experts;
- products: the matrix products that the experts need, each expert with its even share of the rows,
  and nothing else: the limit;
- dropless: gating "naive" without capacity, tokens about equally distributed;
- one expert: the same, all tokens to the same two experts;
- balanced: dropless with GShard's balance loss;
- capacity: gating "top_2" with as many slots as choices, which drops tokens.

The numbers are processor time, medians over rounds; ratios are medians of each round's ratio. Bind
the process to one core. Writes a dated markdown and a JSON file to
`benchmarks/results/`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import time
import types

import numpy as np

from primer.runtime import import_hook

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import transformer, transformer_layers  # noqa: E402

from primer.layers import MixtureOfExperts  # noqa: E402

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
D_MODEL, HIDDEN, CHOICES, LENGTH = 512, 1024, 2, 512
KINDS = ("dense", "products", "dropless", "one expert", "balanced", "capacity")
# With it all tokens choose experts 0 and 1.
ONE_EXPERT = 100.0


class Step:
    """One forward and backward pass of one kind, in a graph and a session of its own.

    Args:
        kind: of KINDS.
        num_experts: the number of experts.
        tokens: the number of tokens.
    """

    def __init__(self, kind: str, num_experts: int, tokens: int) -> None:
        options = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        with tf.Graph().as_default():
            tf.set_random_seed(0)
            if kind == "products":
                outputs = products(num_experts, tokens)
            else:
                outputs = passes(layer(kind, num_experts), tokens)
            # Sums: they depend on every element, and take no time to fetch.
            self._fetches = [tf.reduce_sum(output) for output in outputs]
            self.session = tf.Session(config=options)
            self.session.run(tf.global_variables_initializer())
            if kind == "one expert":
                [bias] = [v for v in tf.global_variables() if "gating/bias" in v.name]
                value = np.zeros([num_experts], np.float32)
                value[:CHOICES] = ONE_EXPERT
                bias.load(value, self.session)

    def seconds(self) -> float:
        """Returns the seconds of processor time of one pass, which other work changes little."""
        began = time.process_time()
        self.session.run(self._fetches)
        return time.process_time() - began


def layer(kind: str, num_experts: int) -> transformer.TransformerLayer:
    """Returns the layer of a kind."""
    if kind == "dense":
        return transformer_layers.DenseReluDense(hidden_size=CHOICES * HIDDEN, use_bias=True)
    settings = {"num_experts": num_experts, "hidden_size": HIDDEN, "use_bias": True}
    if kind == "capacity":
        return MixtureOfExperts(
            gating="top_2", second_policy_train="all", capacity_factor_train=CHOICES, **settings
        )
    return MixtureOfExperts(
        gating="naive",
        num_experts_per_token=CHOICES,
        capacity_factor_train=None,
        balance_loss="gshard" if kind == "balanced" else None,
        **settings,
    )


def passes(own: transformer.TransformerLayer, tokens: int) -> list[tf.Tensor]:
    """Returns the output of a layer in training, and the gradients of its input and weights."""
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "mesh")
    sizes = {"batch": tokens // LENGTH, "length": LENGTH, "d_model": D_MODEL}
    shape = mtf.Shape([mtf.Dimension(name, size) for name, size in sizes.items()])
    x = mtf.import_tf_tensor(mesh, normal("x", shape.to_integer_list), shape)
    context = transformer.Context(
        model=types.SimpleNamespace(
            model_dim=shape.dims[-1],
            ensemble_dim=None,
            ensemble_dims=[],
            layout=None,
            mesh_shape=None,
        ),
        mesh=mesh,
        batch_dims=shape.dims[:1],
        length_dim=shape.dims[1],
        variable_dtype=mtf.VariableDType(tf.float32),
        mode="train",
        losses=[],
    )
    y = own.call(context, x)
    loss = mtf.add_n([mtf.reduce_sum(mtf.square(y)), *context.losses])
    variables = [v.value for v in graph.trainable_variables]
    gradients = mtf.gradients([loss], [x, *variables])
    implementation = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
    lowering = mtf.Lowering(graph, {mesh: implementation})
    return [lowering.export_to_tf_tensor(t) for t in (y, *gradients)]


def products(num_experts: int, tokens: int) -> list[tf.Tensor]:
    """Returns the matrix products of balanced experts, and of their gradients."""
    rows = tokens * CHOICES // num_experts
    x, dy = (normal(name, [num_experts, rows, D_MODEL]) for name in ("x", "dy"))
    wi = normal("wi", [num_experts, D_MODEL, HIDDEN])
    wo = normal("wo", [num_experts, HIDDEN, D_MODEL])
    outputs = []
    for own_x, own_dy, own_wi, own_wo in zip(*map(tf.unstack, (x, dy, wi, wo))):
        h = tf.matmul(own_x, own_wi)
        dh = tf.matmul(own_dy, own_wo, transpose_b=True)
        outputs += [
            tf.matmul(h, own_wo),
            tf.matmul(dh, own_wi, transpose_b=True),
            tf.matmul(own_x, dh, transpose_a=True),
            tf.matmul(h, own_dy, transpose_a=True),
        ]
    return outputs


def normal(name: str, shape: list[int]) -> tf.Tensor:
    """Returns the value of a new variable, so that nothing is computed in advance."""
    initial = tf.random_normal_initializer(stddev=shape[-1] ** -0.5 if "w" in name else 1.0)
    return tf.get_variable(name, shape, initializer=initial).read_value()


def measure(num_experts: int, tokens: int, repeats: int) -> dict[str, list[float]]:
    """Returns the seconds of each kind in each round; the first round does not count."""
    steps = {kind: Step(kind, num_experts, tokens) for kind in KINDS}
    rounds = [{k: s.seconds() for k, s in steps.items()} for _ in range(repeats + 1)][1:]
    for step in steps.values():
        step.session.close()
    return {kind: [own[kind] for own in rounds] for kind in KINDS}


def ratio(times: dict[str, list[float]], kind: str, to: str) -> float:
    """Returns the median of the rounds' ratios of two kinds."""
    return statistics.median(a / b for a, b in zip(times[kind], times[to]))


def row(num_experts: int, times: dict[str, list[float]], tokens: int) -> str:
    """Returns a line of the table: microseconds per token, then ratios."""
    to_products = [f"{ratio(times, k, 'products'):.2f}" for k in KINDS[2:]]
    cells = [
        str(num_experts),
        *(f"{statistics.median(times[k]) / tokens * 1e6:.0f}" for k in KINDS),
        f"{ratio(times, 'dropless', 'dense'):.2f}",
    ]
    return f"| {' | '.join([*cells, *to_products])} |"


def main() -> None:
    """Measures and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experts", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    heads = [f"{kind} us" for kind in KINDS]
    heads += ["dropless / dense", *(f"{kind} / products" for kind in KINDS[2:])]
    lines = [f"| experts | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    found = {}
    for number in arguments.experts:
        found[number] = measure(number, arguments.tokens, arguments.repeats)
        lines.append(row(number, found[number], arguments.tokens))
        print(lines[-1], flush=True)
    date = datetime.date.today().isoformat()
    text = (
        f"# A layer of experts, {date}\n\n"
        f"Forward and backward pass, float32, d_model {D_MODEL}, {CHOICES} experts of width "
        f"{HIDDEN} per token, {arguments.tokens} tokens; microseconds of processor time per token. "
        f"Medians of {arguments.repeats} rounds by turns in one process on {platform.machine()}, "
        f"bound to {len(os.sched_getaffinity(0))} core, one thread. `benchmarks/experts.py` says "
        "what the columns are.\n\n" + "\n".join(lines) + "\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"experts_{date}.md").write_text(text)
    (RESULTS / f"experts_{date}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
