"""Notes in a TensorFlow graph on which tokens a token's score depends, for layers and evaluation.

A mark: no score in this graph may depend on the token's neighbours in the batch.

Layers of experts give each expert room for a limited number of tokens and drop the rest: which
ones, depends on what else is in the batch. That belongs to training, and to evaluation as other
systems released it. Evaluation that counts every token exactly marks the graph that it builds;
layers that would drop tokens ask for the mark. Caveats: what a layer in this graph cannot help, for
whoever shows its numbers. Both sit in the graph, so that neither side has to import or configure
the other.
"""

import tensorflow.compat.v1 as tf

_MARK = "primer/route_without_dropping"
_CAVEATS = "primer/caveats"


def forbid_token_dropping():
    """Marks the default graph; call it before the model is built."""
    if not forbids_token_dropping():
        tf.add_to_collection(_MARK, True)


def forbids_token_dropping() -> bool:
    """Whether the default graph is marked."""
    return bool(tf.get_collection_ref(_MARK))


def add_caveat(sentence):
    """Notes once in the default graph what its numbers have to be shown with."""
    if sentence not in caveats():
        tf.add_to_collection(_CAVEATS, sentence)


def caveats() -> list:
    """The sentences that the layers of the default graph have noted."""
    return tf.get_collection(_CAVEATS)
