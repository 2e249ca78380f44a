"""Time of windowed self-attention in blocks against masked attention, forward and backward.

    make env && .venv/bin/python benchmarks/windowed_attention.py

One layer of `MultiHeadAttention` with relative bias between a small embedding and the loss; the
number of tokens is the same for each length. For each length both graphs run in turn in one
process, because a machine's speed changes from minute to minute: compare the ratios. Writes a dated
markdown file to `benchmarks/results/`.
"""

import argparse
import datetime
import pathlib
import platform
import statistics
import time

import numpy as np

from primer.runtime import import_hook

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import transformer  # noqa: E402

from primer.layers import MultiHeadAttention  # noqa: E402
from primer.layers.attention.windows import windowed_blocks  # noqa: E402

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
TOKENS, D_MODEL, HEADS, VOCABULARY = 4096, 256, 4, 256


class Step:
    """Loss and gradients of one setting, in a separate graph and session.

    Args:
        length: tokens of a sequence.
        window, block_length: the layer's.
    """

    def __init__(self, length: int, window: int, block_length: int) -> None:
        with tf.Graph().as_default():
            self.fetches = gradients(model(window, block_length), length)
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())

    def seconds(self) -> float:
        """Returns the seconds of one step."""
        began = time.perf_counter()
        self.session.run(self.fetches)
        return time.perf_counter() - began


def model(window: int, block_length: int) -> transformer.Unitransformer:
    """Returns a model of one attention layer with norm and residual connection."""
    layer = MultiHeadAttention(
        kind="local",
        window=window,
        block_length=block_length,
        num_heads=HEADS,
        key_value_size=D_MODEL // HEADS,
        relative_attention_type="bias_shared",
    )
    stack = transformer.LayerStack(
        [layer],
        sublayers_initial=[],
        sublayers_per_layer=[
            transformer.sublayer_rms_norm,
            transformer.sublayer_call_layer,
            transformer.sublayer_residual,
        ],
        sublayers_final=[],
    )
    return transformer.Unitransformer(
        stack,
        d_model=D_MODEL,
        input_vocab_size=VOCABULARY,
        output_vocab_size=VOCABULARY,
        autoregressive=True,
        max_length=TOKENS,
        positional_embedding=False,
    )


def gradients(network: transformer.Unitransformer, length: int) -> list[tf.Tensor]:
    """Lowers a training step's loss and gradients; returns a sum of each."""
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "mesh")
    ids = np.random.default_rng(0).integers(2, VOCABULARY, [TOKENS // length, length])
    shape = mtf.Shape([mtf.Dimension("batch", TOKENS // length), mtf.Dimension("length", length)])
    targets = mtf.import_tf_tensor(mesh, tf.constant(ids, tf.int32), shape)
    _, loss = network.call_simple(
        inputs=transformer.autoregressive_inputs(targets), targets=targets, compute_loss=True
    )
    variables = [v.value for v in graph.trainable_variables]
    outputs = [loss] + mtf.gradients([loss], variables)
    impl = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
    lowering = mtf.Lowering(graph, {mesh: impl})
    # Sums: they depend on every element, and take no time to fetch.
    return [tf.reduce_sum(lowering.export_to_tf_tensor(t)) for t in outputs]


def measure(length: int, window: int, block_lengths: list[int], repeats: int) -> list[list[float]]:
    """Returns rounds of the seconds of each setting, in turn; the first round does not count."""
    steps = [Step(length, window, block_length) for block_length in block_lengths]
    rounds = [[step.seconds() for step in steps] for _ in range(repeats + 1)][1:]
    for step in steps:
        step.session.close()
    return rounds


def row(length: int, window: int, repeats: int, block_length: int | None = None) -> str:
    """Returns a line of the table: medians, and the median of the rounds' ratios."""
    chosen = block_length or windowed_blocks.automatic_block_length(length, window)
    rounds = measure(length, window, [length, chosen], repeats)
    masked, blocked = (statistics.median(times) * 1e3 for times in zip(*rounds))
    ratio = statistics.median(m / b for m, b in rounds)
    kind = "masked" if chosen == length else str(chosen)
    return f"| {length} | {kind} | {masked:.0f} | {blocked:.0f} | {ratio:.2f} |"


def main() -> None:
    """Measures and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--block_length", type=int, help="in place of the layer's default")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    lines = [
        "| length | positions a block | masked ms | in blocks ms | masked / in blocks |",
        "|---|---|---|---|---|",
    ]
    for length in arguments.lengths:
        lines.append(row(length, arguments.window, arguments.repeats, arguments.block_length))
        print(lines[-1], flush=True)
    date = datetime.date.today().isoformat()
    text = (
        f"# Windowed self-attention, {date}\n\n"
        f"Forward and backward pass of one layer, window {arguments.window}, {TOKENS} tokens, "
        f"d_model {D_MODEL}, {HEADS} heads, float32. Medians of {arguments.repeats} rounds on "
        f"{platform.machine()}; the two kinds run in turn.\n\n" + "\n".join(lines) + "\n"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"windowed_attention_{date}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
