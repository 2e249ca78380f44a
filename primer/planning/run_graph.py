"""The Mesh-TensorFlow graphs that gin describes, built by the code that trains, never run."""

import contextlib

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, utils

from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.gin_config.values import bound
from primer.runtime.patches import random_seeds

# The mode of a graph -> the mode and the split of the run that builds it.
RUNS = {"train": ("train", "train"), "eval": ("perplexity_eval", "validation")}
MODES = tuple(RUNS)

RUN = "mesh_tensorflow.transformer.utils.run"
STACK = "mesh_tensorflow.transformer.transformer.make_layer_stack"


class _Planned(Exception):
    """Ends `utils.run` or its model function where the plan is made."""


class SizedVocabulary:
    """What Mesh-TF asks of a vocabulary when it builds a graph: its size.

    Args:
        vocab_size: the number of token ids.
    """

    def __init__(self, vocab_size: int):
        self.vocab_size = vocab_size


def build_forward(vocabulary_size: int, mode: str = "train"):
    """Builds the model's forward pass and its loss on one row of tokens.

    Args:
        vocabulary_size: the number of token ids; the model pads it to a multiple of 128.
        mode: "train" or "eval".

    Returns:
        (Unitransformer, mtf.Graph): the model, and the graph with its variables. No variable is
        allocated: nothing runs.
    """
    _require_language_model()
    length = max(bound("utils.run.sequence_length", {"targets": 512}).values())
    with tf.Graph().as_default(), random_seeds.weights_restored():
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "planning")
        model = utils.build_model(
            model_type="lm",
            input_vocab_size=vocabulary_size,
            output_vocab_size=vocabulary_size,
            layout_rules=mtf.LayoutRules([]),
            mesh_shape=mtf.Shape([]),
        )
        shape = mtf.Shape(
            [mtf.Dimension(n, s) for n, s in (("outer_batch", 1), ("batch", 1), ("length", length))]
        )
        targets = mtf.ones(mesh, shape, tf.int32)
        model.call_simple(
            inputs=transformer.autoregressive_inputs(targets, sequence_id=targets),
            targets=targets,
            compute_loss=True,
            mode=mode,
            variable_dtype=utils.get_variable_dtype(),
            sequence_id=targets,
            position=mtf.range(mesh, shape.dims[-1], tf.int32) * targets,
        )
    return model, graph


def build_run(vocabulary_size: int, mode: str = "train"):
    """Builds the whole graph of a run: model, loss, optimizer, schedule, savers, metrics.

    It goes through Mesh-TF's own `utils.run` and model function, on packed rows of zeros, so that
    every setting is read where a run reads it.

    Args:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".

    Returns:
        The EstimatorSpec or TPUEstimatorSpec that Mesh-TF's model function gives.
    """
    _require_language_model()
    planned = _plan_estimator(SizedVocabulary(vocabulary_size), mode)
    rows = planned["train_batch_size"]
    length = planned["sequence_length"]["targets"]
    with tf.Graph().as_default(), random_seeds.weights_restored():
        tf.train.get_or_create_global_step()
        features = {
            name: tf.zeros([rows, length], tf.int32)
            for name in ("targets", "targets_segmentation", "targets_position")
        }
        return planned["model_fn"](features, None, mode, {"batch_size": rows}, None)


def build_step(vocabulary_size: int, mode: str = "train", blocks: int | None = None):
    """Builds what `build_run` builds up to the moment at which Mesh-TF lowers it to TensorFlow.

    All settings are read by then, and lowering is most of the time.

    Args:
        vocabulary_size: the number of token ids.
        mode: "train" or "eval".
        blocks: how many blocks to build instead of `make_layer_stack.num_layers`: what one block
            reads, all read. None: as many as gin says.

    Returns:
        The mtf.Graph, in "train" with its gradients and the optimizer's updates.
    """
    planned = []

    class Lowering(mtf.Lowering):
        """Does what reads settings, and ends where the operations would be lowered."""

        def __init__(self, graph, mesh_to_impl, autostack=True, log_file=None):
            del log_file
            self.graph, self.mesh_to_impl = graph, mesh_to_impl
            if autostack:
                self.autostack()
            planned.append(graph)
            raise _Planned

    with contextlib.ExitStack() as stack:
        if blocks is not None:
            stack.enter_context(gin_state.parameter_bound(STACK, "num_layers", blocks))
        stack.enter_context(_replaced(mtf, "Lowering", Lowering))
        stack.enter_context(contextlib.suppress(_Planned))
        build_run(vocabulary_size, mode)
    return planned[0]


def _require_language_model():
    kind = bound("utils.run.model_type", "bitransformer")
    if kind != "lm":
        raise UsageError(
            f'utils.run.model_type = {kind!r}: expected "lm"; give models/defaults.gin first'
        )


def _plan_estimator(vocabulary, mode):
    """What `utils.run` would make an estimator of: the arguments of TPUEstimator, as a dict."""
    planned = {}

    class Planner:
        """Stands in for TPUEstimator."""

        def __init__(self, **settings):
            planned.update(settings)
            raise _Planned

    run_mode, split = RUNS[mode]
    nowhere = dict.fromkeys(("tpu_job_name", "tpu", "gcp_project", "tpu_zone"))
    run = gin.get_configurable(RUN)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_replaced(utils.tpu_estimator, "TPUEstimator", Planner))
        stack.enter_context(_sequence_length(planned))
        # As t5's main does: gin would ask the task for its own.
        stack.enter_context(gin_state.parameter_bound(RUN, "vocabulary", vocabulary))
        stack.enter_context(contextlib.suppress(_Planned))
        run(**nowhere, model_dir="planned", mode=run_mode, dataset_split=split)
    return planned


@contextlib.contextmanager
def _sequence_length(planned):
    """Notes the sequence length that `utils.run` passes to its estimator."""
    stock = utils.get_estimator

    def get_estimator(**settings):
        planned["sequence_length"] = settings["sequence_length"]
        return stock(**settings)

    with _replaced(utils, "get_estimator", get_estimator):
        yield


@contextlib.contextmanager
def _replaced(owner, name, value):
    stock = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, stock)
