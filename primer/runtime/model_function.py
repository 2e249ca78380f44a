"""What decides the function that a model computes, read where a run reads it.

The objects of a model hold most of its settings (the wiring). The others are parameters that
functions take from gin when they are called, such as the epsilon of a norm: the forward pass is
built once, as in evaluation and without lowering it to TensorFlow, and gin's record of the calls
has them (the configuration). Together with the vocabulary they are the description of the model
that training records and that each reader of its checkpoints compares.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.checkpoints import model_directory
from primer.checkpoints.description import model_description, plain_settings
from primer.common import build_mode, console, gc_pause, graph_marks
from primer.common.recurrence import carried_state
from primer.cost import model_cost
from primer.gin_config import settings_read
from primer.parametrization import lora
from primer.runtime import estimator_model
from primer.runtime.patches import initial_values
from primer.runtime.training import carried_rows
from primer.runtime.training.starting import growth

# Configurables, by the ends of their names, whose parameters do not decide the function: initial
# values, replaced by a checkpoint's; data types, float32 in evaluation; the seed; and the factor
# that other configurables have as their own parameter.
_NOT_FUNCTION = (
    *("Initializer", "weight_initializer", "precision", "get_variable_dtype", "run_seed"),
    "width_multiplier",
    # Which weights are trained.
    "trained_weights",
)
_FLOAT32 = mtf.VariableDType(tf.float32, tf.float32, tf.float32)


@dataclasses.dataclass(frozen=True)
class ModelFunction:
    """The function that a model computes.

    Attributes:
        description: "wiring", "configuration" and "vocabulary" (`model_description.describe`).
        shapes: {name of a variable: its sizes}.
        caveats: sentences of layers whose output for a text depends on the rest of the batch.
        splits: over how many devices the mesh splits the outer and the inner dimension of a batch.
        cost: the model's parameters and FLOPs per token; None for another than a Unitransformer,
            and for one whose layers have no names (`model_cost.is_known`).
        tables: the weights that may have more rows than a checkpoint's (`growth.tables`).
    """

    description: dict[str, Any]
    shapes: dict[str, list[int]]
    caveats: list[str]
    splits: list[int]
    cost: model_cost.ModelCost | None = None
    tables: dict[str, tuple[int, str]] = dataclasses.field(default_factory=dict)

    def fingerprint(self, **more: Any) -> str:
        """Returns 16 hexadecimal digits, equal for equal functions.

        Args:
            more: further plain data on which a number depends.
        """
        function = {key: self.description[key] for key in ("wiring", "configuration")}
        return plain_settings.fingerprint({**function, **more})


def of_estimator(estimator: Any) -> ModelFunction:
    """Returns the function of an estimator's model; a LocalEstimator has it built once."""
    if hasattr(estimator, "function"):
        return estimator.function
    return of_model(
        estimator_model.model_of(estimator),
        estimator.settings.get("vocabulary"),
        estimator_model.length_of(estimator),
    )


def of_model(model: Any, vocabulary: Any, length: int) -> ModelFunction:
    """Builds the forward pass of a model in a graph of its own and returns its function.

    Args:
        model: a Mesh-TF model. Of another than a Unitransformer or Bitransformer no forward pass is
            built, and the configuration is empty.
        vocabulary: a seqio vocabulary, or a pair.
        length: tokens of the model's window.
    """
    splits = _splits_of_batch(model)
    with gc_pause.paused(), tf.Graph().as_default(), build_mode.building("eval"):
        with initial_values.weights_restored():
            graph = mtf.Graph()
            sizes = [*splits, length]
            read = settings_read.settings_read(lambda: _build(model, graph, sizes))
        caveats = graph_marks.caveats()
    graph = graph_with_memory(model, sizes) or graph
    configuration = {name: value for name, value in read.items() if _decides_function(name)}
    return ModelFunction(
        model_description.describe(model, vocabulary, configuration | _scopes(configuration)),
        {v.name: v.shape.to_integer_list for v in graph.trainable_variables},
        caveats,
        splits,
        _cost(model, graph, sizes),
        growth.tables(model, graph),
    )


def graph_with_memory(model: Any, sizes: Sequence[int]) -> mtf.Graph | None:
    """Returns the graph of a forward pass in training, with the memory that it reads, for its cost.

    In the graph of the function every row begins with empty memory.

    Args:
        model: a Mesh-TF model.
        sizes: those of the batch, `[outer_batch, batch, length]`.

    Returns:
        The graph; None if the model has no memory.
    """
    layers = getattr(getattr(model, "layer_stack", None), "_layers", ())
    if not any(getattr(layer, "recurrence", None) for layer in layers):
        return None
    with gc_pause.paused(), tf.Graph().as_default(), build_mode.building("eval"):
        with initial_values.weights_restored():
            state = carried_state.declare(carried_rows.parts_of(model))
            graph = mtf.Graph()
            mesh = mtf.Mesh(graph, "memory")
            if state is not None:
                batch = zip(("outer_batch", "batch"), sizes, strict=False)
                state.begin(mesh, [mtf.Dimension(*dim) for dim in batch])
            _call(model, mesh, sizes, tf.estimator.ModeKeys.TRAIN)
    return graph


def _cost(model: Any, graph: mtf.Graph, sizes: list[int]) -> model_cost.ModelCost | None:
    """Returns the cost of a model whose forward pass on a batch of these sizes is in the graph."""
    if not isinstance(model, transformer.Unitransformer) or not graph.operations:
        return None
    if not model_cost.is_known(model):
        return None
    return model_cost.of_graph(model, graph, tokens=math.prod(sizes), length=sizes[-1])


def check(model_dir: str, function: ModelFunction) -> list[str]:
    """Checks that a directory's checkpoints may be read with a model.

    Args:
        model_dir: a directory with checkpoints.
        function: the function of the model that is to read them.

    Returns:
        The settings in which it differs from the model that was trained, each as "name before ->
        now"; they are printed once.

    Raises:
        UsageError: as `model_directory.check_description`.
    """
    differences = model_directory.check_description(model_dir, function.description)
    if differences:
        console.say_once(
            f"primer: {model_dir} was trained with other settings of its model: "
            f"{'; '.join(differences)}"
        )
    return differences


def _splits_of_batch(model: Any) -> list[int]:
    """Over how many devices the model's mesh splits `outer_batch` and `batch`."""
    layout, shape = (getattr(model, name, None) for name in ("layout", "mesh_shape"))
    layout = mtf.convert_to_layout_rules("" if layout is None else layout)
    shape = mtf.convert_to_shape("" if shape is None else shape)
    return [
        mtf.tensor_dim_to_mesh_dim_size(layout, shape, mtf.Dimension(name, 0))
        for name in ("outer_batch", "batch")
    ]


def _build(model: Any, graph: mtf.Graph, sizes: list[int]) -> None:
    """Builds the forward pass of evaluation on one batch of tokens."""
    if not isinstance(model, (transformer.Unitransformer, transformer.Bitransformer)):
        return
    _call(model, mtf.Mesh(graph, "model_function"), sizes, tf.estimator.ModeKeys.EVAL)
    lora.check()


def _call(model: Any, mesh: mtf.Mesh, sizes: Sequence[int], mode: str) -> None:
    """Calls a model on one batch of tokens."""
    names = ("outer_batch", "batch", "length")
    shape = mtf.Shape([mtf.Dimension(*dim) for dim in zip(names, sizes, strict=True)])
    targets = mtf.ones(mesh, shape, tf.int32)
    packing: dict[str, mtf.Tensor] = {}
    if getattr(model, "fully_autoregressive", False):
        position = mtf.range(mesh, shape.dims[-1], tf.int32) * targets
        packing = {"sequence_id": targets, "position": position}
    model.call_simple(
        inputs=targets,
        targets=targets,
        compute_loss=False,
        mode=mode,
        variable_dtype=_FLOAT32,
        **packing,
    )


def _decides_function(name: str) -> bool:
    """Whether "scope/configurable.parameter" decides the function."""
    configurable, _, parameter = name.rpartition(".")
    return not configurable.endswith(_NOT_FUNCTION) and plain_settings.decides_function(parameter)


def _scopes(configuration: dict[str, Any]) -> dict[str, list[str]]:
    """Returns {"configurable, scopes": the scopes in which it is called}.

    A function in another scope has other names in the configuration, and names that only one of two
    has are no difference.
    """
    scopes: dict[str, set[str]] = {}
    for name in configuration:
        scope, _, configurable = name.rpartition(".")[0].rpartition("/")
        scopes.setdefault(f"{configurable}, scopes", set()).add(scope)
    return {name: sorted(found) for name, found in scopes.items()}
