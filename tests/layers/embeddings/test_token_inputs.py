"""The layers get the ids that the embedding looked up, in every mode."""

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.layers.embeddings import token_inputs
from tests.layers import helpers


def test_ids_and_the_scope_of_the_model():
    context = types.SimpleNamespace(cache={})
    with helpers.bench() as b:
        ids = b.put(np.zeros([2, 3], np.int32), "batch", "length")
        with tf.variable_scope("transformer"):
            token_inputs.record(context, ids)
        with tf.variable_scope("elsewhere"):
            found = token_inputs.recorded(context, "num_value_embeddings")
    assert found.ids is ids and found.scope.name == "transformer"


def test_the_error_says_which_embedding_gives_them():
    context = types.SimpleNamespace(cache={})
    with pytest.raises(ValueError, match="^num_value_embeddings needs .*cls = @TokenEmbedding$"):
        token_inputs.recorded(context, "num_value_embeddings")
