"""The norms among the sublayers of a layer."""

import functools

from mesh_tensorflow.transformer import transformer

from primer.layers import sublayer_primer_norm
from primer.layers.stacks import sublayer_order

MASK, RMS, CALL, RESIDUAL = (
    transformer.sublayer_mask_padding,
    transformer.sublayer_rms_norm,
    transformer.sublayer_call_layer,
    transformer.sublayer_residual,
)
PARTIAL = functools.partial(sublayer_primer_norm, epsilon=1e-3)


def test_every_norm_before_the_call_moves():
    given = [MASK, RMS, PARTIAL, CALL, RESIDUAL]
    moved = sublayer_order.move_norms_behind(given, sublayer_order.CALL, "Stack")
    assert moved == [MASK, CALL, RMS, PARTIAL, RESIDUAL]
    moved = sublayer_order.move_norms_behind(given, sublayer_order.RESIDUAL, "Stack")
    assert moved == [MASK, CALL, RESIDUAL, RMS, PARTIAL]


def test_norms_behind_the_call_stay():
    given = [RMS, CALL, RMS, RESIDUAL]
    moved = sublayer_order.move_norms_behind(given, sublayer_order.RESIDUAL, "Stack")
    assert moved == [CALL, RMS, RESIDUAL, RMS]


def test_an_output_is_normalized_between_the_call_and_the_residual_connection():
    found = sublayer_order.normalizes_output
    assert found([MASK, CALL, PARTIAL, RESIDUAL])
    assert not found([RMS, CALL, RESIDUAL])
    assert not found([CALL, RESIDUAL, RMS])
    assert not found([])
