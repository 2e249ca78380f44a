"""A step of one model and the matrix products in it, in turn in one process.

    .venv/bin/python benchmarks/model_step.py MODEL ROWS LENGTH train|eval [gin bindings...]

MODEL is a published name, or an architecture, an activation and a size, as "primer,relu,small".
`train`: a training step (forward, backward, update) on rows of zeros, as `primer train` runs it,
without its input. `eval`: a batch of `primer eval`. The products are those of the step's graph,
each with its sizes and type as a plain product of two matrices in memory order, one after another,
with all threads: what is left when a step is nothing but its products. Prints one line of JSON:
seconds of both (the median of some runs each), and their GFLOP.
"""

import collections
import json
import math
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from primer.runtime import import_hook  # noqa: E402

import_hook.install()

import mesh_tensorflow as mtf  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from mesh_tensorflow.transformer import utils  # noqa: E402

import t5_imports  # noqa: E402, F401
from primer.evaluation.scorer import Scorer  # noqa: E402
from primer.gin_config import config_files  # noqa: E402
from primer.planning import check  # noqa: E402
from primer.planning.device_program import measured_step  # noqa: E402
from primer.runtime import session  # noqa: E402

VOCABULARY = 8192
ROUNDS = int(os.environ.get("ROUNDS", "7"))
# (matrices, rows, summed, columns, type): a product of matrices.
Product = tuple[int, int, int, int, tf.DType]


def products_of(operations: Iterable[tf.Operation]) -> collections.Counter[Product]:
    """Returns the products of matrices among operations, with the number of each."""
    found: collections.Counter[Product] = collections.Counter()
    for operation in operations:
        if operation.type == "Einsum" and len(operation.inputs) == 2:
            found.update(_of_einsum(operation))
        elif operation.type in ("MatMul", "BatchMatMulV2"):
            found.update(_of_matmul(operation))
    return found


def _of_einsum(operation):
    """Yields the product of an Einsum that has rows, columns and a summed dimension."""
    operands, result = operation.get_attr("equation").decode().split("->")
    first, second = operands.split(",")
    sizes = {}
    for names, tensor in zip((first, second), operation.inputs, strict=True):
        sizes.update(zip(names, tensor.shape.as_list(), strict=True))

    def size(names):
        return math.prod(sizes[name] for name in names)

    both = set(first) & set(second)
    product = (
        size(both & set(result)),
        size(set(first) - both),
        size(both - set(result)),
        size(set(second) - both),
    )
    if min(product[1:]) > 1:
        yield (*product, operation.inputs[0].dtype)


def _of_matmul(operation):
    a, _ = (tensor.shape.as_list() for tensor in operation.inputs)
    *batch, rows, columns = operation.outputs[0].shape.as_list()
    attribute = "transpose_a" if operation.type == "MatMul" else "adj_x"
    summed = a[-2] if operation.get_attr(attribute) else a[-1]
    if min(rows, columns, summed) > 1:
        yield math.prod(batch), rows, summed, columns, operation.inputs[0].dtype


def flops(products: collections.Counter[Product]) -> int:
    """Returns the FLOPs of products."""
    return sum(2 * math.prod(product[:4]) * number for product, number in products.items())


class Products:
    """Runs products of matrices one after another, each on variables of its sizes.

    Args:
        products: the products and their numbers.
    """

    def __init__(self, products: collections.Counter[Product]) -> None:
        graph = tf.Graph()
        with graph.as_default():
            operands = {}
            last: list[tf.Operation] = []
            for (*sizes, dtype), number in products.items():
                matrices, rows, summed, columns = sizes
                for _ in range(number):
                    with tf.control_dependencies(last):
                        a = self._operand(operands, (matrices, rows, summed), dtype)
                        b = self._operand(operands, (matrices, summed, columns), dtype)
                        last = [tf.matmul(a, b).op]
            initial = tf.global_variables_initializer()
            self._step = tf.group(last)
        self._session = tf.Session(graph=graph, config=session.default_config())
        self._session.run(initial)

    def _operand(self, operands, shape, dtype):
        shape = shape[1:] if shape[0] == 1 else shape
        if (shape, dtype) not in operands:
            with tf.control_dependencies(None):
                values = tf.random_uniform(shape, -1, 1, dtype=tf.float32, seed=1)
                operands[shape, dtype] = tf.get_variable(
                    f"operand_{len(operands)}",
                    initializer=tf.cast(values, dtype),
                    use_resource=True,
                )
        return operands[shape, dtype].read_value()

    def __call__(self) -> None:
        """Runs all products once."""
        self._session.run(self._step)


def training() -> tuple[Callable[[], None], collections.Counter[Product]]:
    """Returns a function that runs a training step, and the products of a step."""
    run = measured_step._lowered(VOCABULARY, "", "", "train")
    sess = tf.Session(graph=run.graph, config=session.default_config())
    with run.graph.as_default():
        step = tf.group(run.lowering.results())
        initializer = tf.global_variables_initializer()
    sess.run(initializer)
    return lambda: sess.run(step), products_of(_needed(step))


def evaluation(rows: int, length: int) -> tuple[Callable[[], None], collections.Counter[Product]]:
    """Returns a function that runs a batch of `primer eval`, and the products of a batch."""
    model = utils.build_model("lm", VOCABULARY, VOCABULARY, mtf.LayoutRules([]), mtf.Shape([]))
    scorer = Scorer(model, length, rows)
    graph = scorer._session.graph
    scorer._session.run([v.initializer for v in graph.get_collection("variables")])
    columns = np.ones([rows, length], np.int32)
    feed = {placeholder: columns for placeholder in scorer._feeds.values()}
    losses = scorer._nats.fetches[0]
    return lambda: scorer._session.run(losses, feed), products_of(_needed(losses[0].op))


def _needed(operation):
    """Returns the operations that an operation needs."""
    found, left = {operation}, [operation]
    while left:
        next_one = left.pop()
        for needed in [*(t.op for t in next_one.inputs), *next_one.control_inputs]:
            if needed not in found:
                found.add(needed)
                left.append(needed)
    return found


def main() -> None:
    """Measures and prints."""
    model, rows, length, mode, *bindings = sys.argv[1:]
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    sizes = [
        f"utils.run.batch_size = ('sequences_per_batch', {rows})",
        f"utils.run.sequence_length = {{'inputs': 1, 'targets': {length}}}",
        f"max_length = {length}",
    ]
    files = (
        config_files.composition_files(*model.split(","))
        if "," in model
        else config_files.published_model_files(model)
    )
    check.parse(files, [*sizes, *bindings])
    step, products = training() if mode == "train" else evaluation(int(rows), int(length))
    alone = Products(products)
    seconds: dict[str, list[float]] = {"step_s": [], "products_s": []}
    for _ in range(ROUNDS + 1):  # The first round prepares the graphs and does not count.
        for name, run in (("step_s", step), ("products_s", alone)):
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    print(json.dumps({**medians, "gflop": flops(products) / 1e9}))


if __name__ == "__main__":
    main()
