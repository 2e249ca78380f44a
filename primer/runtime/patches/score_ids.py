"""Mesh-TF 0.1.21: scoring without a TPU gets text where it needs token ids, and stops.

Without a TPU its model function turns the scored targets into text inside the graph. Its own
`score_with_estimator` and `save_scores` then call `.any()` and `.tolist()` on these bytes. With the
patch the model function gets a vocabulary that cannot decode in the graph. The graph of an export
keeps the decoding: a server returns text.
"""

import contextlib
import functools
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import tensorflow.compat.v1 as tf

if TYPE_CHECKING:
    import seqio

# The graph collection that is not empty while the graph of an export is built.
_EXPORT = "primer_export"


def patch(utils: ModuleType) -> None:
    """Patches `mesh_tensorflow.transformer.utils.get_estimator`."""
    stock = utils.get_estimator

    @functools.wraps(stock)
    def get_estimator(**settings):
        return stock(**{**settings, "vocabulary": _vocabulary_for(settings)})

    utils.get_estimator = get_estimator


@contextlib.contextmanager
def exporting() -> Iterator[None]:
    """A context in which the default graph is built for an export."""
    tf.add_to_collection(_EXPORT, True)
    try:
        yield
    finally:
        # Not left empty: the meta graph of the export would list it.
        tf.get_default_graph().clear_collection(_EXPORT)


class IdsOnly:
    """A vocabulary with all attributes of another except `decode_tf`.

    Args:
        vocabulary: the other one.
    """

    def __init__(self, vocabulary: "seqio.Vocabulary") -> None:
        self._vocabulary = vocabulary

    def __getattr__(self, name: str) -> Any:
        if name == "decode_tf" and not tf.get_collection(_EXPORT):
            raise AttributeError(name)
        return getattr(self._vocabulary, name)


def _vocabulary_for(settings):
    """Returns the vocabulary, or the pair of them, for the model function of these settings."""
    vocabulary = settings["vocabulary"]
    if not settings.get("score_in_predict_mode"):
        return vocabulary
    if isinstance(vocabulary, tuple):
        return tuple(IdsOnly(part) for part in vocabulary)
    return IdsOnly(vocabulary)
