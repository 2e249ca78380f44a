"""Context managers that make Primer behave as the systems of docs/defects.md do.

Each replaces the code that a string names: after a rename, only the string changes.
"""

import contextlib
import copy
import dataclasses
import inspect
import math
import pkgutil
import random
import re
import shutil
import tempfile
import types
from pathlib import Path
from unittest import mock

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.gin_config import config_files
from primer.layers import mesh_layout
from primer.runtime.patches import float32_norms

CONVOLUTION = "primer.layers.convolution.causal_depthwise_conv"


def replaced(target, make):
    """Replaces the object that a dotted path names by `make(object)` within the context."""
    return mock.patch(target, make(pkgutil.resolve_name(target)))


@contextlib.contextmanager
def changed_gin_file(path, old, new):
    """Replaces text of a gin file: within the context, gin reads a copy of the folder gin/."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(config_files.gin_directory(), Path(folder, "gin")))
        text = (copy / path).read_text()
        assert old in text, f"gin/{path} does not contain {old!r}"
        (copy / path).write_text(text.replace(old, new))
        with mock.patch("primer.gin_config.config_files.gin_directory", lambda: str(copy)):
            yield


# ---------------------------------------------------------------- Primer's layers


def norm_before_every_layer():
    """The stack of Primer is an ordinary LayerStack."""
    stock = pkgutil.resolve_name("mesh_tensorflow.transformer.transformer.LayerStack._layer_fn")
    return mock.patch("primer.layers.PrePostNormLayerStack._layer_fn", stock)


def order_by_index():
    """The norm follows every second layer of the stack, whatever its class."""
    from mesh_tensorflow.transformer import transformer_layers

    kinds = (transformer_layers.SelfAttention(), transformer_layers.DenseReluDense())

    def make(original):
        def layer_fn(self, x, layer, context):
            return original(self, x, kinds[self._layers.index(layer) % 2], context)

        return layer_fn

    return replaced("primer.layers.PrePostNormLayerStack._layer_fn", make)


def zeros_beyond_the_last_position():
    """The length of a packed row is not compared with the number of positions."""
    return mock.patch("primer.layers.position_encodings.check_length", lambda context: None)


def one_output_for_an_ensemble():
    """The matrix of an untied output has no dimension of the ensemble."""

    def make(original):
        def product(self, hidden, context):
            alone = copy.copy(context)
            alone.model = types.SimpleNamespace(ensemble_dims=[])
            return original(self, hidden, alone)

        return product

    return replaced("primer.layers.TokenEmbedding._product", make)


def clusters_of_half_a_row():
    """The words of a rare cluster beyond half the length of their row have no loss."""

    def make(original):
        def log_z_and_picked(hidden, table, bias, ids, used, is_gathered=True):
            length = ids.shape.dims[-1]
            if is_gathered:
                is_own = mtf.cast(mtf.greater_equal(ids, 0), tf.int32)
                fits = mtf.less_equal(mtf.cumsum(is_own, length), length.size // 2)
                ids = (ids + 1) * mtf.cast(fits, tf.int32) - 1
            return original(hidden, table, bias, ids, used, is_gathered)

        return log_z_and_picked

    return replaced("primer.layers.embeddings.cluster_logits.log_z_and_picked", make)


def decoding_convolves_over_the_batch():
    """A step of decoding convolves over the first dimension and ignores earlier positions."""

    def make(original):
        def step(x, taps, past):
            return convolved_over(x, taps, x.shape.dims[0])

        return step

    return replaced(f"{CONVOLUTION}.causal_depthwise_conv_step", make)


def convolved_over(x, taps, dim):
    """Convolves x over any dimension, also one of the taps' own."""
    terms = [mtf.shift(x, i, dim, wrap=False) * tap for i, tap in enumerate(taps)]
    return mtf.add_n(terms)


def convolution_crosses_texts():
    """The convolution ignores the boundaries between the texts of a packed example."""

    def make(original):
        def conv(x, taps, length_dim, segment_id=None):
            return original(x, taps, length_dim)

        return conv

    return replaced(f"{CONVOLUTION}.causal_depthwise_conv", make)


def convolution_over_the_heads():
    """Without combine_dims the convolution goes over the heads."""

    def make(original):
        def call(self, context, x, losses=None):
            if self.combine_dims:
                return original(self, context, x, losses)
            with mock.patch(
                f"{CONVOLUTION}.convolve",
                lambda context, x, taps, _: convolved_over(x, taps, taps[0].shape.dims[0]),
            ):
                return original(self, context, x, losses)

        return call

    return replaced("primer.layers.MDHA.call", make)


def shared_keys_and_values_unconvolved():
    """With shared_kv only the queries are convolved."""

    def make(original):
        def call(self, context, x, losses=None):
            if not self.shared_kv:
                return original(self, context, x, losses)
            convolve = pkgutil.resolve_name(f"{CONVOLUTION}.convolve")
            calls = []

            def only_first(context, x, taps, _):
                calls.append(x)
                return convolve(context, x, taps) if len(calls) == 1 else x

            with mock.patch(f"{CONVOLUTION}.convolve", only_first):
                return original(self, context, x, losses)

        return call

    return replaced("primer.layers.MDHA.call", make)


def keys_stay_small():
    """`rescale_shared_keys` has no effect."""
    module = "primer.layers.attention.shared_query_key"
    published = pkgutil.resolve_name(f"{module}.SharedQueryKeyParams")
    return mock.patch(f"{module}.RescaledSharedQueryKeyParams", published)


def pseudo_variance(test_module):
    """The norm divides by the root of mean(x * (x - mu)), in the type of the activations."""

    def norm(x, layer_stack, context, epsilon=1e-6):
        reduced = x.shape - context.model.model_dim
        centered = x - mtf.reduce_mean(x, output_shape=reduced)
        variance = mtf.reduce_mean(x * centered, output_shape=reduced)
        return centered * mtf.rsqrt(variance + epsilon)

    return mock.patch.object(test_module, "sublayer_primer_norm", norm)


def no_cap_with_one_head_of_keys():
    """Keys without heads get logits without a cap."""

    def make(original):
        def attend(q, k, *args, logit_cap=None, **kwargs):
            has_heads = any(dim.name == "heads" for dim in k.shape.dims)
            return original(q, k, *args, logit_cap=logit_cap if has_heads else None, **kwargs)

        return attend

    return replaced("primer.layers.attention.options.logit_cap.attend", make)


def norm_keeps_the_mean():
    """Primer's norm divides x by its spread, without its mean taken away."""

    def make(original):
        return lambda x, context, epsilon, centered: original(x, context, epsilon, False)

    return replaced("primer.layers.primer_norm._normalize", make)


def z_loss_dropped():
    """Attention does not receive `z_loss_coeff`."""

    def make(original):
        def call(self, context, x, losses=None):
            with mock.patch.object(self, "z_loss_coeff", None):
                return original(self, context, x, losses)

        return call

    return replaced("primer.layers.MDHA.call", make)


def hyperprompts_ignored():
    """MDHA accepts the settings of hyper-prompts and does nothing with them."""

    def make(original):
        def init(self, *args, **kwargs):
            original(self, *args, **{k: v for k, v in kwargs.items() if "hyperprompt" not in k})

        return init

    return replaced("primer.layers.MDHA.__init__", make)


def kernel_size_ignored():
    """MDHA has 3 taps, whatever value is bound."""

    def make(original):
        def init(self, *args, **kwargs):
            original(self, *args, **kwargs)
            self.kernel_size = 3

        return init

    return replaced("primer.layers.MDHA.__init__", make)


# ---------------------------------------------------------------- Mesh-TensorFlow's layers


def no_bias_in_blocks():
    """Windowed attention has no relative bias where the length is cut into blocks."""

    def make(original):
        def compute_bias(self, context, memory_position, *args, **kwargs):
            if any("block" in dim.name for dim in memory_position.shape.dims):
                return None
            return original(self, context, memory_position, *args, **kwargs)

        return compute_bias

    return replaced(
        "mesh_tensorflow.transformer.transformer_layers.SelfAttention.compute_bias", make
    )


def padding_is_text():
    """Experts treat the padding of unpacked examples as text."""

    def make(original):
        def importance(context, x):
            packed = isinstance(context.sequence_id, mtf.Tensor)
            return original(context, x) if packed else None

        return importance

    return replaced("primer.layers.experts.padding.importance", make)


def experts(**forced):
    """Experts have these settings, whatever the caller passes."""

    def make(original):
        def init(self, *args, **kwargs):
            original(self, *args, **{**kwargs, **forced})

        return init

    return replaced("primer.layers.MixtureOfExperts.__init__", make)


def legacy_gshard():
    """Gates are normalized before capacity, and padding counts in the balance loss."""
    return mock.patch("primer.layers.experts.settings.Gating.corrects_gshard", False)


def groups_of_devices():
    """GShard's groups are as many as the processors that hold rows."""

    def group_size(self, x, train, model):
        batch_dim, tokens = x.shape.dims[0], mtf.Shape(x.shape.dims[:-1]).size
        return tokens // mesh_layout.num_splits(model, batch_dim)

    target = "primer.layers.experts.gshard.assignment.GShardAssignment.group_size"
    return replaced(target, lambda original: group_size)


def noise_is_not_on_the_input():
    """The router's input has no noise: FastMoE's is added to the logits."""
    return replaced("primer.layers.experts.router.add_noise", lambda original: lambda x, *_: x)


def first_choice_is_column_0():
    """Where a token has more than two experts, the best one is not the first of them."""

    def make(original):
        def ranked(*arguments):
            ranks = original(*arguments)
            return ranks[::-1] if len(ranks) > 2 else ranks

        return ranked

    return replaced("primer.layers.experts.choices.ranked", make)


def memory_of_zeros_is_seen():
    """Positions before the beginning of a text are seen, as zeros."""

    def make(original):
        def init(self, *args, **kwargs):
            original(self, *args, **{**kwargs, "zero_memory": True})

        return init

    return replaced("primer.layers.recurrence.settings.Recurrence.__init__", make)


def variance_of_a_sample():
    """The variance over experts is divided by their number - 1."""
    return replaced(
        "primer.layers.experts.gates.noisy.squared_variation",
        lambda original: lambda x, unbiased=True: original(x, True),
    )


def start_of_text_is_read_in_decoding():
    """In decoding, the convolutions read the first position, which holds no token."""

    def make(original):
        def call(self, context, x, losses=None):
            if context.mode in ("first_part", "incremental"):
                context = copy.copy(context)
                context.position = context.position + 1  # No position is the first one.
            return original(self, context, x, losses)

        return call

    return replaced("primer.layers.EvolvedConvolution.call", make)


# ---------------------------------------------------------------- Mesh-TensorFlow's runs


def unpatched(method):
    """A method of `Unitransformer` is Mesh-TensorFlow's own, below all patches."""
    target = f"mesh_tensorflow.transformer.transformer.Unitransformer.{method}"
    return replaced(target, inspect.unwrap)


def stock_layer_norm():
    """The layer norm is Mesh-TensorFlow's own."""
    return replaced("mesh_tensorflow.layers.layer_norm", inspect.unwrap)


@contextlib.contextmanager
def stock_rms_norm():
    """The RMS norm that gin files name is Mesh-TensorFlow's own."""
    from mesh_tensorflow.transformer import transformer

    cell = float32_norms.called_by_gin(transformer.sublayer_rms_norm)
    ours = cell.cell_contents
    cell.cell_contents = inspect.unwrap(ours)
    try:
        yield
    finally:
        cell.cell_contents = ours


def last_pattern_applies():
    """The learning rate of the last pattern holds for every variable."""

    def make(original):
        def last(optimizer, name):
            patterns = optimizer.variable_search
            return original(optimizer, name) if patterns is None else len(patterns) - 1

        return last

    return replaced("primer.runtime.patches.learning_rates._first_match", make)


def unseeded_draws():
    """The checksum that makes seeds from names is another one at each call."""
    return mock.patch("zlib.crc32", lambda data, value=0: random.getrandbits(32))


def unpatched_module(name):
    """The patch of this name changes nothing."""
    return mock.patch(f"primer.runtime.patches.{name}.patch", lambda module: None)


def falling_rates():
    """A learning rate is what its schedule returns."""
    return mock.patch("primer.runtime.patches.learning_rates._positive_part", lambda rate: rate)


def any_position_is_restored():
    """Two inputs never differ."""
    return mock.patch("primer.runtime.training.input_record.difference", lambda *records: None)


def functions_counted_in_the_process():
    """TensorFlow names the Python functions of the training input."""
    target = "primer.runtime.inputs.python_functions_numbered_from_zero"
    return mock.patch(target, contextlib.nullcontext)


# ---------------------------------------------------------------- GPT-Neo, Tensor2Tensor


@contextlib.contextmanager
def unscaled_linear_attention():
    """Linear attention takes exp of the keys as they are, and adds 1e-6 to the denominator."""
    chunks = "primer.layers.attention.linear_chunks"

    def unscaled(original):
        return lambda *arguments: original(*arguments) * 0.0

    def with_epsilon(original):
        return lambda weighted, total: original(weighted, total + 1e-6)

    with replaced(f"{chunks}._running_maximum", unscaled):
        with replaced(f"{chunks}.divide", with_epsilon):
            yield


def attention_none_doubles():
    """A layer of kind "none" returns its input, which is added to the residual stream."""
    from mesh_tensorflow.transformer import transformer

    class Doubling(transformer.TransformerLayer):
        def call(self, context, x, losses=None):
            return context.current_layer_input

    return mock.patch("primer.layers.kind_pattern.NoLayer", Doubling)


def attention_keeps_its_scale():
    """The depth divides the initial values of feed-forward layers alone."""
    return mock.patch("primer.layers.initializers._RESIDUAL", re.compile("(^|/)wo/kernel$"))


def mean_of_perplexities():
    """The perplexity of a text is the mean of those of its documents."""

    def make(original):
        def total(nats, text):
            totals = pkgutil.resolve_name("primer.evaluation.totals")
            means = totals.document_nats(nats, text) / text.lengths
            found = original(nats, text)
            return dataclasses.replace(found, nats=np.log(np.exp(means).mean()) * found.tokens)

        return total

    return replaced("primer.evaluation.totals.total", make)


def z_loss_is_scored():
    """The loss of a token has the z-loss of training, 1e-4 log(Z)^2."""

    def make(original):
        def cross_entropy(logits, targets, vocab_dim):
            log_z = mtf.reduce_logsumexp(logits, vocab_dim)
            return original(logits, targets, vocab_dim) + 1e-4 * mtf.square(log_z)

        return cross_entropy

    return replaced("primer.runtime.ops.cross_entropy.cross_entropy", make)


def tokens_per_byte_are_constant():
    """Bits per byte are the loss of a token times one number for all texts."""
    bits = property(lambda totals: totals.nats_per_token / math.log(2) * 0.29335)
    return mock.patch("primer.evaluation.totals.Totals.bits_per_byte", bits)


def float32_sum_of_checkpoints():
    """Checkpoints are added in float32."""
    averaging = pkgutil.resolve_name("primer.checkpoints.averaging")

    def mean(readers, name, window):
        return sum(map(averaging._value, readers, [name] * len(window), window)) / len(window)

    return mock.patch.object(averaging, "_mean_of_variable", mean)


def adafactor_without_schedule():
    """Adafactor has one rate, whatever the schedule."""

    def make(original):
        def apply_grad(self, grad, var):
            self._learning_rate = 0.01
            return original(self, grad, var)

        return apply_grad

    return replaced("mesh_tensorflow.optimize.AdafactorOptimizer.apply_grad", make)


def names_alone_decide_on_decay():
    """Weights decay unless their names have "norm" or "bias", which the last norm's had not."""

    def make(original):
        def decays(self, var):
            is_last_norm = "layer_norm_scale" in var.name and "block_" not in var.name
            return is_last_norm or original(self, var)

        return decays

    return replaced("primer.optimizers.base.Optimizer.decays", make)


def lazy_adam():
    """Where the gradient is zero, weights and moments stay as they are."""

    def make(original):
        def change(self, grad, var):
            update, _ = original(self, grad, var)
            return update * mtf.to_float(mtf.not_equal(grad, mtf.zeros_like(grad))), []

        return change

    return replaced("primer.optimizers.adamw.AdamWOptimizer.change", make)


def cosine_from_the_start():
    """`cosdecay` is 1 during the warmup, then a cosine that began with the run."""

    def make(original):
        def half_cosine(step, own, end):
            cosine = 0.5 * (1 + tf.cos(math.pi * tf.minimum(step / end, 1.0)))
            return tf.where(step <= own.warmup, tf.ones_like(cosine), cosine)

        return half_cosine

    return replaced("primer.schedules.t2t._half_cosine", make)
