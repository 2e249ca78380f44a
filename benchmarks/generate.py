"""Tokens per second of decoding with cached states, against recomputing the text for each token.

    make env && .venv/bin/python benchmarks/generate.py

For several lengths of text: the time of one more token after a text of that length, for 1 and 16
texts at a time, with the graph of `primer generate` (its states have the text's length), and with
one forward pass over the whole text, as a model without states needs it (it computes the logits of
all positions and uses the last). Both run in turn in one process, because a machine's speed changes
from minute to minute: compare the ratios. A second table has the time of a token with 63 and with
2,047 tokens before it, of graphs that run in turn too. Writes a dated markdown file to
`benchmarks/results/`; `--only_window` prints the second table and writes nothing.
"""

import argparse
import datetime
import pathlib
import platform
import statistics
import tempfile
import time

import numpy as np

from primer.runtime import import_hook

import_hook.install()

import gin  # noqa: E402
import mesh_tensorflow as mtf  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import transformer, utils  # noqa: E402

from primer.generation.step_graph import StepGraph  # noqa: E402
from primer.gin_config import config_files  # noqa: E402

tf.disable_v2_behavior()

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
VOCABULARY = 8192
LENGTHS = (64, 128, 256, 512)
ROWS = (1, 16)
WINDOW = (64, 2048)  # Tokens of the texts of the second table.


def build(name: str) -> transformer.Unitransformer:
    """Returns a published model, built from its gin file."""
    gin.parse_config("import t5_imports")
    gin.parse_config_files_and_bindings(
        config_files.published_model_files(name), [], finalize_config=False
    )
    return utils.build_model("lm", VOCABULARY, VOCABULARY, mtf.LayoutRules([]), mtf.Shape([]))


class Recompute:
    """Computes the logits of the last position from the whole text.

    Args:
        model: the model.
        rows: texts at a time.
        length: tokens of a text.
    """

    def __init__(self, model: transformer.Unitransformer, rows: int, length: int) -> None:
        with tf.Graph().as_default():
            mesh = mtf.Mesh(mtf.Graph(), "mesh")
            shape = mtf.Shape([mtf.Dimension("batch", rows), mtf.Dimension("length", length)])
            self.ids = tf.placeholder(tf.int32, [rows, length])
            ids = mtf.import_tf_tensor(mesh, self.ids, shape)
            logits, _ = model.call_simple(
                inputs=transformer.autoregressive_inputs(ids),
                targets=ids,
                compute_loss=False,
                mode="eval",
                variable_dtype=mtf.VariableDType(tf.float32),
            )
            mesh_impl = mtf.placement_mesh_impl.PlacementMeshImpl([], [], [""])
            lowering = mtf.Lowering(mesh.graph, {mesh: mesh_impl})
            self.logits = lowering.export_to_tf_tensor(logits)[:, -1]
            self.session = tf.Session()
            self.session.run(tf.global_variables_initializer())
            self.saver = tf.train.Saver(tf.global_variables())

    def seconds(self, ids: np.ndarray) -> float:
        """Returns the seconds of one pass over [rows, length] ids."""
        began = time.perf_counter()
        self.session.run(self.logits, {self.ids: ids})
        return time.perf_counter() - began


def measure(
    model: transformer.Unitransformer, rows: int, length: int, repeats: int
) -> dict[str, float]:
    """Returns the median seconds of one token: {"states", "recomputed"}."""
    ids = np.random.default_rng(0).integers(2, VOCABULARY, [rows, length])
    slow = Recompute(model, rows, length)
    fast = StepGraph(model, rows, length)
    with tempfile.TemporaryDirectory() as folder:
        fast.restore(slow.saver.save(slow.session, f"{folder}/model.ckpt-0"))
    fast.read_prompts(list(ids[:, :-1]))
    last, position = ids[:, -2], np.full([rows], length - 1)
    times: dict[str, list[float]] = {"states": [], "recomputed": []}
    for _ in range(repeats + 2):
        began = time.perf_counter()
        fast.next_logits(last, position)
        times["states"].append(time.perf_counter() - began)
        times["recomputed"].append(slow.seconds(ids))
    fast.close()
    slow.session.close()
    return {kind: statistics.median(values[2:]) for kind, values in times.items()}


def window_costs(
    model: transformer.Unitransformer, rows: int, repeats: int
) -> dict[int, tuple[float, float]]:
    """Returns the (wall, processor) seconds of a token for each length of WINDOW: the fastest."""
    graphs = {length: StepGraph(model, rows, length) for length in WINDOW}
    with tempfile.TemporaryDirectory() as folder:
        weights = Recompute(model, 1, 8)
        checkpoint = weights.saver.save(weights.session, f"{folder}/model.ckpt-0")
        for graph in graphs.values():
            graph.restore(checkpoint)
    weights.session.close()
    times: dict[int, list[tuple[float, float]]] = {length: [] for length in WINDOW}
    for _ in range(repeats + 2):
        for length, graph in graphs.items():
            began, busy = time.perf_counter(), time.process_time()
            graph.next_logits(np.full([rows], 5), np.full([rows], length - 1))
            times[length].append((time.perf_counter() - began, time.process_time() - busy))
    for graph in graphs.values():
        graph.close()
    return {length: tuple(map(min, zip(*of[2:]))) for length, of in times.items()}


def window_table(model: transformer.Unitransformer, repeats: int) -> list[str]:
    """Returns the lines of the second table."""
    lines = [
        "| texts at a time | tokens before | ms a step | processor ms | ratio | processor ratio |",
        "|---|---|---|---|---|---|",
    ]
    for rows in ROWS:
        costs = window_costs(model, rows, repeats)
        first = costs[WINDOW[0]]
        for length, (wall, busy) in costs.items():
            lines.append(
                f"| {rows} | {length - 1:,} | {wall * 1e3:.1f} | {busy * 1e3:.1f} | "
                f"{wall / first[0]:.2f} | {busy / first[1]:.2f} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measures and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small_primer")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only_window", action="store_true")
    arguments = parser.parse_args()
    model = build(arguments.model)
    of_window = window_table(model, arguments.repeats)
    if arguments.only_window:
        return
    lines = [
        "| texts at a time | tokens before | with states: ms a step | tokens/s | recomputed: ms a "
        "step | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for rows in ROWS:
        for length in LENGTHS:
            found = measure(model, rows, length, arguments.repeats)
            fast, slow = found["states"], found["recomputed"]
            lines.append(
                f"| {rows} | {length - 1} | {fast * 1e3:.1f} | {rows / fast:.0f} | "
                f"{slow * 1e3:.1f} | {slow / fast:.1f} |"
            )
            print(lines[-1], flush=True)
    date = datetime.date.today().isoformat()
    text = (
        f"# Decoding, {date}\n\n{arguments.model}, vocabulary of {VOCABULARY:,}, float32, medians "
        f"of {arguments.repeats} steps. {platform.machine()}, one session.\n\n"
        + "\n".join(lines)
        + "\n\nWithin the window, the fastest of as many steps:\n\n"
        + "\n".join(of_window)
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"generate_{date}.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
