"""Marks in a TensorFlow graph that layers and evaluation exchange.

- *No token dropping*: no token's score may depend on the other tokens of its batch. Layers of
  experts limit the tokens of an expert (its capacity) and drop the rest, and which ones are dropped
  depends on the batch. Training and evaluation as other systems released it do so. Exact evaluation
  marks its graph before it builds the model, and the layers then drop none.
- *Caveats*: sentences of layers that have to be printed with the graph's numbers or texts.
- *Remarks*: sentences of layers on settings without effect, printed once before the work starts.
- *Routing*: the experts that each token chose, which evaluation may collect.
- *Residual layers*: the number of layers of the model that is being built, for its initial values.
- *Normalized output*: training normalizes the output of the layer that is being built, so that the
  size of its last matrix has no effect.
- *Schedule*: the learning rate of the step and the number of steps of the run, for the optimizer.
- *Training loss*: the loss of the step, for the optimizer.
- *Token losses*: a function that computes the loss of each token without the logits of all words,
  from the embedding, for the training loss.
- *Text positions*: the position of each token in its text, which Mesh-TensorFlow withholds from
  models without learned positions.
- *Blocks left out*: the model has fewer blocks than gin describes, as where only the settings that
  it reads matter. Checks of the depth do not apply to it.

Marks are collections of the graph, so that neither side imports or configures the other. Those that
TensorFlow cannot write into checkpoints have a tuple as key, as its own private collections: it
leaves these out without a warning.
"""

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

_NO_DROPPING = "primer/route_without_dropping"
_CAVEATS = "primer/caveats"
_REMARKS = "primer/remarks"
_COLLECTS_ROUTING = ("primer/collects_routing",)
_ROUTING = ("primer/routing",)
_RESIDUAL_LAYERS = "primer/residual_layers"
_NORMALIZED_OUTPUT = "primer/normalized_output"
_SCHEDULE = ("primer/schedule",)
_TRAINING_LOSS = ("primer/training_loss",)
_TOKEN_LOSSES = ("primer/token_losses",)
_TEXT_POSITIONS = ("primer/text_positions",)
_BLOCKS_LEFT_OUT = "primer/blocks_left_out"


def forbid_token_dropping() -> None:
    """Marks the default graph; has to be called before the model is built."""
    if not forbids_token_dropping():
        tf.add_to_collection(_NO_DROPPING, 1)


def forbids_token_dropping() -> bool:
    """Returns whether the default graph is marked by `forbid_token_dropping`."""
    return bool(tf.get_collection_ref(_NO_DROPPING))


def add_caveat(sentence: str) -> None:
    """Adds a sentence to the default graph's caveats, unless they have it already."""
    _add_sentence(_CAVEATS, sentence)


def caveats() -> list[str]:
    """Returns the caveats of the default graph in the order in which layers added them."""
    return tf.get_collection(_CAVEATS)


def add_remark(sentence: str) -> None:
    """Adds a sentence to the default graph's remarks, unless they have it already."""
    _add_sentence(_REMARKS, sentence)


def remarks() -> list[str]:
    """Returns the remarks of the default graph in the order in which layers added them."""
    return tf.get_collection(_REMARKS)


def collect_routing() -> None:
    """Marks the default graph: layers of experts add their routing; before the model is built."""
    tf.get_collection_ref(_COLLECTS_ROUTING)[:] = [1]


def collects_routing() -> bool:
    """Returns whether the default graph is marked by `collect_routing`."""
    return bool(tf.get_collection(_COLLECTS_ROUTING))


def add_routing(name: str, num_experts: int, index: Any, entropy: Any) -> None:
    """Adds the routing of a layer.

    Args:
        name: the scope of the router.
        num_experts: the number of its experts.
        index: a Mesh-TF int32 Tensor `[tokens..., choices]`; -1 for a choice that was removed.
        entropy: a Mesh-TF Tensor `[tokens...]`, of the router's distribution in nats.
    """
    tf.add_to_collection(_ROUTING, (name, num_experts, index, entropy))


def routing() -> list[tuple[str, int, Any, Any]]:
    """Returns what layers of the default graph gave to `add_routing`, in their order."""
    return tf.get_collection(_ROUTING)


def set_residual_layers(number: int) -> None:
    """Records the number of layers of the model that the default graph gets next."""
    tf.get_collection_ref(_RESIDUAL_LAYERS)[:] = [number]


def residual_layers() -> int | None:
    """Returns what `set_residual_layers` recorded, or None."""
    numbers = tf.get_collection(_RESIDUAL_LAYERS)
    return numbers[0] if numbers else None


def set_normalized_output(is_normalized: bool) -> None:
    """Records whether training normalizes the output of the layer that is built next."""
    tf.get_collection_ref(_NORMALIZED_OUTPUT)[:] = [int(is_normalized)]


def has_normalized_output() -> bool:
    """Returns what `set_normalized_output` recorded last, or False."""
    return any(tf.get_collection(_NORMALIZED_OUTPUT))


def set_schedule(rate: Any, steps: int | None) -> None:
    """Records the schedule of the run whose training graph is being built.

    Args:
        rate: the learning rate of the step, a number or a TensorFlow scalar.
        steps: the number of steps of the run, if it is known.
    """
    tf.get_collection_ref(_SCHEDULE)[:] = [(rate, steps)]


def schedule() -> tuple[Any, int | None]:
    """Returns what `set_schedule` recorded, or (None, None)."""
    return next(iter(tf.get_collection(_SCHEDULE)), (None, None))


def set_training_loss(loss: Any) -> None:
    """Records the loss that the gradients of the training graph are of, a Mesh-TF scalar."""
    tf.get_collection_ref(_TRAINING_LOSS)[:] = [loss]


def training_loss() -> Any:
    """Returns what `set_training_loss` recorded, or None."""
    return next(iter(tf.get_collection(_TRAINING_LOSS)), None)


def set_token_losses(logits: Any, losses: Callable[[Any], Any]) -> None:
    """Records how to compute losses without logits that the default graph has for other uses.

    Args:
        logits: a Mesh-TF Tensor `[..., vocab]`.
        losses: a function from targets, int32 `[...]`, to their losses, float32 `[...]`.
    """
    tf.get_collection_ref(_TOKEN_LOSSES)[:] = [(logits, losses)]


def token_losses(logits: Any) -> Callable[[Any], Any] | None:
    """Returns the function that `set_token_losses` recorded for these logits, or None."""
    recorded, losses = next(iter(tf.get_collection(_TOKEN_LOSSES)), (None, None))
    return losses if recorded is logits else None


def set_text_positions(positions: Any) -> None:
    """Records the positions that the model which is built next is called with.

    Args:
        positions: a Mesh-TF int32 Tensor `[batch, length]`, or None.
    """
    tf.get_collection_ref(_TEXT_POSITIONS)[:] = [positions]


def text_positions() -> Any:
    """Returns what `set_text_positions` recorded last, or None."""
    return next(iter(tf.get_collection(_TEXT_POSITIONS)), None)


def leave_out_blocks() -> None:
    """Marks the default graph: its model has fewer blocks than gin describes."""
    tf.get_collection_ref(_BLOCKS_LEFT_OUT)[:] = [1]


def leaves_out_blocks() -> bool:
    """Returns whether the default graph is marked by `leave_out_blocks`."""
    return bool(tf.get_collection(_BLOCKS_LEFT_OUT))


def _add_sentence(collection: str, sentence: str) -> None:
    if sentence not in tf.get_collection(collection):
        tf.add_to_collection(collection, sentence)
