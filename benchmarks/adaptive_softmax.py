"""Time of adaptive softmax against one softmax over all words, in training and in evaluation.

    make env && .venv/bin/python benchmarks/adaptive_softmax.py

A model without layers: embedding, loss, and in training the gradients of all weights. Words are
drawn by a power of their rank, so that a given share lies behind the first cutoff. Kinds run one
after the other in one process, and a machine's speed changes from minute to minute: small
differences mean nothing. Writes a dated markdown file to `benchmarks/results/`.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import statistics
import time
from unittest import mock

import gin
import numpy as np

from primer.runtime import import_hook

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import transformer  # noqa: E402

import primer.layers  # noqa: E402, F401
from primer.common import build_mode, graph_marks  # noqa: E402

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
LENGTH = 64
# Vocabulary, width, tokens, cutoffs, the power of the rank.
CASES = [
    (267735, 410, 512, [20000, 40000, 200000], 1.2),
    (32000, 512, 2048, [2000, 8000], 1.0),
]
# Name -> (div_val, or None for one softmax; mode; whether training computes all words).
KINDS = {
    "one softmax": (None, "train", False),
    "div_val 1": (1, "train", False),
    "div_val 4": (4, "train", False),
    "div_val 1, all words": (1, "train", True),
    "div_val 4, all words": (4, "train", True),
    "evaluation, one softmax": (None, "eval", False),
    "evaluation, div_val 1": (1, "eval", False),
    "evaluation, div_val 4": (4, "eval", False),
}


def draw(vocabulary: int, tokens: int, power: float) -> np.ndarray:
    """Returns token ids `[batch, LENGTH]`."""
    weights = (np.arange(vocabulary) + 2.7) ** -power
    shape = [tokens // LENGTH, LENGTH]
    ids = np.random.default_rng(0).choice(vocabulary, shape, p=weights / weights.sum())
    return np.maximum(ids, 1).astype(np.int32)


def model(vocabulary: int, width: int, cutoffs: list[int], div_val: int | None):
    """Returns a model without layers."""
    name = "TokenEmbedding" if div_val is None else "AdaptiveEmbedding"
    gin.clear_config()
    gin.parse_config(f"get_vocab_embedding_cls.cls = @{name}")
    if div_val is not None:
        gin.parse_config(f"{name}.cutoffs = {cutoffs}\n{name}.div_val = {div_val}")
    stack = transformer.LayerStack(
        [], sublayers_initial=[], sublayers_per_layer=[], sublayers_final=[]
    )
    return transformer.Unitransformer(
        stack,
        d_model=width,
        input_vocab_size=vocabulary,
        output_vocab_size=vocabulary,
        autoregressive=True,
        max_length=LENGTH,
        shared_embedding_and_softmax_weights=True,
        positional_embedding=False,
        z_loss=0.0,
    )


def fetches(built: transformer.Unitransformer, ids: np.ndarray, mode: str) -> list[tf.Tensor]:
    """Returns the loss, and in training a sum of each gradient."""
    mesh = mtf.Mesh(mtf.Graph(), "mesh")
    shape = mtf.Shape([mtf.Dimension(n, s) for n, s in zip(("batch", "length"), ids.shape)])
    targets = mtf.import_tf_tensor(mesh, tf.constant(ids), shape)
    _, loss = built.call_simple(
        inputs=transformer.autoregressive_inputs(targets),
        targets=targets,
        compute_loss=True,
        mode=mode,
        variable_dtype=mtf.VariableDType(tf.float32),
    )
    found = [loss]
    if mode == "train":
        weights = [v.value for v in mesh.graph.trainable_variables]
        found += [mtf.reduce_sum(g) for g in mtf.gradients([loss], weights)]
    mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl("", "", [""])
    lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
    exported = [lowering.export_to_tf_tensor(x) for x in found]
    tf.add_to_collection("to_slices", lowering.copy_masters_to_slices())
    return exported


def median_seconds(case: tuple, kind: str, rounds: int) -> float:
    """Returns the median time of a step."""
    vocabulary, width, tokens, cutoffs, power = case
    div_val, mode, is_whole = KINDS[kind]
    whole = mock.patch.object(graph_marks, "set_token_losses", lambda *_: None)
    with (
        tf.Graph().as_default(),
        build_mode.building(mode),
        whole if is_whole else contextlib.nullcontext(),
    ):
        built = model(vocabulary, width, cutoffs, div_val)
        outputs = fetches(built, draw(vocabulary, tokens, power), mode)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(tf.get_collection("to_slices"))
            times = []
            for _ in range(rounds + 1):
                began = time.perf_counter()
                session.run(outputs)
                times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main() -> None:
    """Times every kind of every case, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    today = datetime.date.today()
    lines = [f"# Adaptive softmax, {today}", ""]
    lines += [f"Medians of {rounds} steps, float32, on a CPU of {os.cpu_count()} cores.", ""]
    for case in CASES:
        vocabulary, width, tokens, cutoffs, power = case
        share = (draw(vocabulary, tokens, power) >= cutoffs[0]).mean()
        lines += [
            f"Vocabulary {vocabulary:,}, width {width}, {tokens:,} tokens, cutoffs {cutoffs}, "
            f"{share:.0%} of the tokens behind the first one:",
            "",
            "| kind | ms |",
            "|---|---|",
        ]
        for kind in KINDS:
            seconds = median_seconds(case, kind, rounds)
            print(case, kind, round(seconds * 1000), flush=True)
            lines.append(f"| {kind} | {seconds * 1000:.0f} |")
        lines.append("")
    path = RESULTS / f"adaptive_softmax_{today}.md"
    path.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
