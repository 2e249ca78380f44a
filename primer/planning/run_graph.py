"""Builds the Mesh-TensorFlow graphs that gin describes by the code of training, without running.

Mesh-TF's own `utils.run` and model function build them, so that every setting is read where a run
reads it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer.common import build_mode, graph_marks
from primer.cost import model_cost
from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.gin_config.values import bound
from primer.parametrization import lora, trained_weights
from primer.runtime import model_function
from primer.runtime.patches import initial_values

# The mode of a graph -> the mode and the split of the run that builds it.
RUNS = {"train": ("train", "train"), "eval": ("perplexity_eval", "validation")}
MODES = tuple(RUNS)
# The values of utils.run.model_type that are built here.
KINDS = ("lm", "aligned")

RUN = "mesh_tensorflow.transformer.utils.run"
STACK = "mesh_tensorflow.transformer.transformer.make_layer_stack"


class _GraphComplete(Exception):
    """Ends `utils.run` or its model function once the arguments or the graph are known."""


class SizedVocabulary:
    """A vocabulary with a size only: Mesh-TF reads nothing else of it when it builds a graph.

    Args:
        vocab_size: the number of token ids.
    """

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size


def build_forward(
    vocabulary_size: int, mode: str = "train"
) -> tuple[transformer.Unitransformer, mtf.Graph]:
    """Builds the model's forward pass and its loss on one row of tokens.

    Args:
        vocabulary_size: the number of token ids; the model pads it to a multiple of 128.
        mode: "train" or "eval".

    Returns:
        The model, and the graph with its variables. No variable is allocated.

    Raises:
        UsageError: gin describes another model than a language model.
    """
    kind = require_language_model()
    length = _length()
    with tf.Graph().as_default(), initial_values.weights_restored():
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "planning")
        model = utils.build_model(
            model_type=kind,
            input_vocab_size=vocabulary_size,
            output_vocab_size=vocabulary_size,
            layout_rules=mtf.LayoutRules([]),
            mesh_shape=mtf.Shape([]),
        )
        shape = mtf.Shape(
            [mtf.Dimension(n, s) for n, s in (("outer_batch", 1), ("batch", 1), ("length", length))]
        )
        inputs = targets = mtf.ones(mesh, shape, tf.int32)
        if kind == "lm":
            inputs = transformer.autoregressive_inputs(targets, sequence_id=targets)
        model.call_simple(
            inputs=inputs,
            targets=targets,
            compute_loss=True,
            mode=mode,
            variable_dtype=utils.get_variable_dtype(),
            sequence_id=targets,
            position=mtf.range(mesh, shape.dims[-1], tf.int32) * targets,
        )
        lora.check()
        trained_weights.check(v.name for v in graph.all_variables if v.trainable)
        build_mode.say_caveats()
    return model, graph


def cost_of(model: transformer.Unitransformer, graph: mtf.Graph) -> model_cost.ModelCost:
    """Returns the cost of the model that `build_forward` returned with its graph."""
    length = _length()
    graph = model_function.graph_with_memory(model, (1, 1, length)) or graph
    return model_cost.of_graph(model, graph, tokens=length, length=length)


def build_run(
    vocabulary_size: int, mode: str = "train", is_whole: bool = True, will_run: bool = False
) -> Any:
    """Builds the whole graph of a run: model, loss, optimizer, schedule, savers, metrics.

    Args:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".
        is_whole: whether the model has as many blocks as gin describes without a change.
        will_run: whether the input is rows of random ids, and the weights have their initial
            values; else all are zero.

    Returns:
        The EstimatorSpec or TPUEstimatorSpec of Mesh-TF's model function.

    Raises:
        UsageError: gin describes another model than a language model.
    """
    kind = require_language_model()
    estimator = estimator_arguments(SizedVocabulary(vocabulary_size), mode)
    rows = estimator["train_batch_size"]
    length = estimator["sequence_length"]["targets"]
    values = contextlib.nullcontext() if will_run else initial_values.weights_restored()
    with tf.Graph().as_default(), values:
        tf.train.get_or_create_global_step()
        if not is_whole:
            graph_marks.leave_out_blocks()
        ids = ["targets", "inputs"] if kind == "aligned" else ["targets"]
        make = _random_features if will_run else _zero_features
        features = make(ids, [rows, length], vocabulary_size)
        return estimator["model_fn"](features, None, mode, {"batch_size": rows}, None)


def _zero_features(ids: list[str], shape: list[int], vocabulary_size: int) -> dict[str, tf.Tensor]:
    """Returns a batch of packed rows of zeros."""
    del vocabulary_size
    names = [*ids, "targets_segmentation", "targets_position"]
    return {name: tf.zeros(shape, tf.int32) for name in names}


def _random_features(
    ids: list[str], shape: list[int], vocabulary_size: int
) -> dict[str, tf.Tensor]:
    """Returns a batch of rows of one text each, whose ids are random and not padding."""
    draw = np.random.default_rng(0)
    drawn = {
        name: draw.integers(min(1, vocabulary_size - 1), vocabulary_size, shape) for name in ids
    }
    positions = np.broadcast_to(np.arange(shape[-1]), shape)
    packing = {"targets_segmentation": np.ones(shape), "targets_position": positions}
    return {name: tf.constant(value, tf.int32) for name, value in (drawn | packing).items()}


def build_step(vocabulary_size: int, mode: str = "train", blocks: int | None = None) -> mtf.Graph:
    """Builds what `build_run` builds, without lowering it to TensorFlow.

    Lowering takes most of the time, and all settings are read before it.

    Args:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".
        blocks: the number of blocks in place of `make_layer_stack.num_layers` (one block reads the
            settings that all read). None: gin's number.

    Returns:
        The graph; in "train" with its gradients and the optimizer's updates.

    Raises:
        UsageError: gin describes another model than a language model.
    """
    graphs = []

    class Lowering(mtf.Lowering):
        """Reads the settings of Mesh-TF's class, and raises before it lowers operations."""

        def __init__(self, graph, mesh_to_impl, autostack=True, log_file=None):
            del log_file
            self.graph, self.mesh_to_impl = graph, mesh_to_impl
            if autostack:
                self.autostack()
            graphs.append(graph)
            build_mode.say_caveats()  # Those of the schedule, too.
            raise _GraphComplete

    with contextlib.ExitStack() as stack:
        if blocks is not None:
            stack.enter_context(gin_state.parameter_bound(STACK, "num_layers", blocks))
        stack.enter_context(replaced(mtf, "Lowering", Lowering))
        stack.enter_context(contextlib.suppress(_GraphComplete))
        build_run(vocabulary_size, mode, is_whole=blocks is None)
    return graphs[0]


def _length() -> int:
    """Returns the tokens of the row that `build_forward` builds the model on: the targets'."""
    lengths = bound("utils.run.sequence_length", {"targets": 512})
    if isinstance(lengths, int):
        return lengths
    return lengths.get("targets", max(lengths.values()))


def require_language_model() -> str:
    """Returns the kind of language model that gin describes, causal or masked: a value of KINDS.

    Raises:
        UsageError: gin describes another model.
    """
    kind = bound("utils.run.model_type", "bitransformer")
    if kind not in KINDS:
        raise UsageError(
            f'utils.run.model_type = {kind!r}: expected "lm" (or "aligned", which '
            "objectives/masked_lm.gin sets); give models/defaults.gin first"
        )
    return kind


def estimator_arguments(vocabulary: SizedVocabulary, mode: str) -> dict[str, Any]:
    """Returns the arguments that `utils.run` passes to TPUEstimator, and its "sequence_length"."""
    arguments: dict[str, Any] = {}

    class Estimator:
        """Stands in for TPUEstimator, and ends `utils.run`."""

        def __init__(self, **estimator_arguments):
            arguments.update(estimator_arguments)
            raise _GraphComplete

    run_mode, split = RUNS[mode]
    no_tpu = dict.fromkeys(("tpu_job_name", "tpu", "gcp_project", "tpu_zone"))
    run = gin.get_configurable(RUN)
    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(utils.tpu_estimator, "TPUEstimator", Estimator))
        stack.enter_context(_sequence_length_recorded(arguments))
        # As t5's main does: gin's own value would load the task's vocabulary.
        stack.enter_context(gin_state.parameter_bound(RUN, "vocabulary", vocabulary))
        stack.enter_context(contextlib.suppress(_GraphComplete))
        run(**no_tpu, model_dir="planned", mode=run_mode, dataset_split=split)
    return arguments


@contextlib.contextmanager
def _sequence_length_recorded(arguments: dict[str, Any]) -> Iterator[None]:
    """Stores the sequence length that `utils.run` passes to `utils.get_estimator`."""
    stock = utils.get_estimator

    def get_estimator(**settings):
        arguments["sequence_length"] = settings["sequence_length"]
        return stock(**settings)

    with replaced(utils, "get_estimator", get_estimator):
        yield


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute of a module or class inside the block."""
    stock = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, stock)
