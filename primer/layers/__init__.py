"""Mesh-TensorFlow building blocks, one idea a file; importing it registers them with gin."""

from primer.layers.mdha import MDHA
from primer.layers.pre_post_norm import PrePostNormLayerStack
from primer.layers.primer_norm import sublayer_primer_norm
from primer.layers import squared_relu as _registers_squared_relu  # noqa: F401

__all__ = ["MDHA", "PrePostNormLayerStack", "sublayer_primer_norm"]
