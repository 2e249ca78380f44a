"""Mesh-TF 0.1.21 hides the positions of packed texts from models without learned positions.

`Unitransformer.call_simple` gets the position of each token in its text, `targets_position` of a
packed data set, and replaces it by the place in the row where no table of positions needs it:
relative attention reads differences alone. A layer that compares positions, as Lingvo's mask does
(`MultiHeadAttention.causal_by_position`), would not see them. The patch records them as a mark of
the graph and changes no model that does not ask for them.
"""

import functools
import inspect
from types import ModuleType

from primer.common import graph_marks


def patch(transformer: ModuleType) -> None:
    """Patches `Unitransformer.call_simple` of `mesh_tensorflow.transformer.transformer`."""
    model = transformer.Unitransformer
    model.call_simple = _recording_positions(model.call_simple)


def _recording_positions(stock):
    signature = inspect.signature(stock)

    @functools.wraps(stock)
    def call_simple(self, *args, **kwargs):
        given = signature.bind(self, *args, **kwargs).arguments
        graph_marks.set_text_positions(given.get("position"))
        return stock(self, *args, **kwargs)

    return call_simple
