"""The Evolved Transformer's convolutional layer: equations, decoding, packed examples, meshes."""

import functools

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import evolved_transformer

from primer.layers import EvolvedConvolution
from tests import slow
from tests.layers import helpers, single_layer

RNG = np.random.default_rng(0)
RNG.integers(2, 97, [2, 14])  # The token ids of test_evolved_transformer.
X = RNG.standard_normal([4, 24, 32])
# Segments shorter than the convolutions, one of a single token, and padding.
LENGTHS = [[3, 21], [24], [1, 13, 7, 3], [6, 6]]
IDS = np.array([np.repeat([*range(1, len(n) + 1), 0], [*n, 24 - sum(n)]) for n in LENGTHS])


@functools.cache
def convolution_variables():
    """The layer's variables in the golden file."""
    scope = "transformer/block_000/layer_001/DecoderConvolutionalLayer/"
    return helpers.by_prefix(helpers.golden("evolved_transformer")[1], scope)


def test_equations_of_the_paper():
    v, x = convolution_variables(), X.copy()
    reads = (np.arange(24) > 0)[:, np.newaxis]

    def separable(scope, x, taps):
        w = helpers.by_prefix(v, f"{scope}/separable_conv1d/")
        padded = np.pad(x * reads, [[0, 0], [taps - 1, 0], [0, 0]])
        kernels = [w[f"depthwise_conv_hack/depthwise_dense_{i}/kernel"] for i in range(taps)]
        y = sum(padded[:, i : i + 24] * kernel for i, kernel in enumerate(kernels))
        y = y + w["depthwise_conv_hack/depthwise_dense_0/bias"]
        return y @ w["pointwise_dense/kernel"] + w["pointwise_dense/bias"]

    hidden = np.maximum(separable("sep_conv11x1", x, 11), 0)
    hidden[..., :16] += separable("sep_conv7x1_1", x, 7)
    hidden -= hidden.mean(-1, keepdims=True)
    hidden /= np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-6)
    scale, bias = (v[f"layer_prepostprocess/layer_norm/layer_norm_{n}"] for n in ("scale", "bias"))
    expected = separable("sep_conv7x1_2", hidden * scale + bias, 7)
    values = single_layer.run(EvolvedConvolution(), v, x)["y"]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "prompt_lengths", slow.all_but([[4, 7, 12]], [[0, 0, 0], [3, 3, 3], [4, 7, 12]])
)
def test_decoding_equals_all_positions_at_once(prompt_lengths):
    """Without prompts; with prompts shorter and longer than the convolutions."""
    layer, variables = EvolvedConvolution(), convolution_variables()
    single_layer.check_decoding(layer, variables, X[:3, :14], prompt_lengths)


@pytest.mark.slow
def test_decoding_of_mesh_tf_convolution_differs():
    theirs = evolved_transformer.DecoderConvolutionalLayer(d_model=32, dropout_rate=0.0)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        single_layer.check_decoding(theirs, convolution_variables(), X[:3, :14], [7, 9, 12])


def test_packed_examples_equal_their_segments():
    """Outputs and gradients; Mesh-TF's layer mixes the segments."""
    single_layer.check_packing(EvolvedConvolution(), convolution_variables(), X, IDS)
    theirs = evolved_transformer.DecoderConvolutionalLayer(d_model=32, dropout_rate=0.0)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        single_layer.check_packing(theirs, convolution_variables(), X, IDS)


SPLIT_HEADS = "heads:columns,d_ff:columns,vocab:columns"


MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "batch and d_ff": ("rows:2,columns:2", "batch:rows," + SPLIT_HEADS),
    "d_ff by 4": ("columns:4", SPLIT_HEADS),
    "model in two dimensions": ("rows:2,columns:2", "d_model:rows," + SPLIT_HEADS),
    "length": ("rows:2", "length:rows"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mesh", slow.all_but(["batch and d_ff", "length"], MESHES))
def test_mesh_equals_one_device(mesh):
    single_layer.check_mesh(EvolvedConvolution(), convolution_variables(), X, IDS, *MESHES[mesh])


def test_decoding_on_a_mesh():
    settings = (EvolvedConvolution(), convolution_variables(), X[:2, :14], [12, 12])
    values = single_layer.decode(*settings, *MESHES["batch and d_ff"])
    np.testing.assert_allclose(values, single_layer.decode(*settings), rtol=0, atol=1e-4)


def test_a_length_on_too_many_processors_raises_an_error():
    with pytest.raises(ValueError, match="layout rule length:rows: 7 positions .* at least 10"):
        settings = (EvolvedConvolution(), convolution_variables(), X[:, :14])
        single_layer.run(*settings, mesh_shape="rows:2", layout="length:rows")


def test_bfloat16_is_close_to_float32():
    settings = (EvolvedConvolution(), convolution_variables(), X, IDS, "train", np.ones_like(X))
    exact = single_layer.run(*settings)
    values = single_layer.run(*settings, dtype=tf.bfloat16)
    for key, value in exact.items():
        error = np.linalg.norm(values[key] - value)
        assert error <= 0.1 * np.linalg.norm(value), key


def test_dropout_is_for_training_and_the_same_along_the_length():
    v, x = convolution_variables(), np.tile(X[:1, :1], [3, 24, 1])
    plain = single_layer.run(EvolvedConvolution(), v, x)["y"]
    layer = EvolvedConvolution(dropout_rate=0.5)
    np.testing.assert_array_equal(single_layer.run(layer, v, x)["y"], plain)
    y = single_layer.run(layer, v, x, mode="train")["y"]
    dropped = y == 0.0
    assert 0.25 < dropped.mean() < 0.75
    np.testing.assert_array_equal(dropped, np.tile(dropped[:, :1], [1, 24, 1]))
    assert (dropped[0] != dropped[1]).any()


def test_initial_scales():
    """Variance scale / taps for the depthwise weights, scale / fan-in for the others."""
    values = {}
    with helpers.bench() as b:
        tf.set_random_seed(0)
        x = b.put(np.zeros([1, 2, 512], np.float32), *single_layer.NAMES)
        EvolvedConvolution(initializer_scale=2.0).call(single_layer.context_of(b, x), x)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = session.run({v.op.name: v for v in tf.global_variables()})
    taps = [v for k, v in values.items() if "sep_conv11x1" in k and "dense_" in k and "kernel" in k]
    taps = [v for v in taps if v.ndim == 1]
    assert len(taps) == 11
    # Mesh-TF's truncated normal has 0.88 of the nominal deviation.
    np.testing.assert_allclose(np.std(taps), 0.88 * (2 / 11) ** 0.5, rtol=0.05)
    kernel = values["sep_conv7x1_2/separable_conv1d/pointwise_dense/kernel"]
    np.testing.assert_allclose(kernel.std(), 0.88 * (2 / 1024) ** 0.5, rtol=0.05)
    assert all((v == 0).all() for k, v in values.items() if k.endswith("/bias"))


def test_an_odd_d_model_raises_an_error():
    with pytest.raises(ValueError, match="Unitransformer.d_model = 33: .* choose an even d_model"):
        single_layer.run(EvolvedConvolution(), None, np.ones([1, 4, 33]))


def test_gin_settings():
    gin.parse_config(["EvolvedConvolution.dropout_rate = 0.25"])
    assert EvolvedConvolution().dropout_rate == 0.25
