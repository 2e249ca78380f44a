"""The key-value cache: states after a prompt, and after one step."""

import numpy as np
from mesh_tensorflow.transformer import transformer_layers

from primer.layers.attention import kv_cache
from tests.layers import helpers, single_layer

KEYS = np.random.default_rng(0).standard_normal([2, 5, 4]).astype(np.float32)
POSITION = np.array([2, 4], np.int32)


def update(b, mode, keys, states=None):
    """Returns the keys of all positions, their positions, and the context with the new states."""
    x = b.put(np.zeros([2, 5, 4], np.float32), *single_layer.NAMES)
    context = single_layer.context_of(b, x, mode)
    if mode == "incremental":
        context.position, context.states = b.put(POSITION, "batch"), states
    keys, position = kv_cache.update(transformer_layers.SelfAttention(), context, [keys])
    return keys[0], position, context


def test_all_positions_at_once():
    with helpers.bench() as b:
        keys, position, context = update(b, "eval", b.put(KEYS, "batch", "length", "d_kv"))
        assert keys.shape.dimension_names == ["batch", "memory_length", "d_kv"]
        assert not context.new_states
        values = b.run({"keys": keys, "position": position})
    np.testing.assert_array_equal(values["keys"], KEYS)
    np.testing.assert_array_equal(values["position"], np.arange(5))


def test_a_step_writes_each_row_at_its_position():
    new = np.full([2, 4], 7.0, np.float32)
    with helpers.bench() as b:
        _, _, prompt = update(b, "first_part", b.put(KEYS, "batch", "length", "d_kv"))
        step = b.put(new, "batch", "d_kv")
        keys, position, context = update(b, "incremental", step, prompt.new_states)
        assert context.new_states == [keys]
        values = b.run({"keys": keys, "position": position})
    expected = KEYS.copy()
    expected[[0, 1], POSITION] = new
    np.testing.assert_array_equal(values["keys"], expected)
    np.testing.assert_array_equal(values["position"], np.arange(5))


def test_keys_are_values_where_the_parameters_share_them():
    layers = [
        transformer_layers.SelfAttention(num_heads=2, key_value_size=4, shared_kv=shared)
        for shared in (False, True)
    ]
    for layer, count in zip(layers, (2, 1)):
        with helpers.bench() as b:
            x = b.put(KEYS, *single_layer.NAMES)
            params = layer.make_params(single_layer.context_of(b, x))
            assert len(kv_cache.project_keys_values(params, x)) == count
