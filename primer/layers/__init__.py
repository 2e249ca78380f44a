"""Mesh-TensorFlow layers, one idea per file; importing this package registers them with gin."""

from primer.layers import gelu_exact as _registers_gelu_exact  # noqa: F401
from primer.layers import squared_relu as _registers_squared_relu  # noqa: F401
from primer.layers.attention.double_heads import DoubleHeadsAttention
from primer.layers.attention.mdha import MDHA
from primer.layers.attention.multi_head import MultiHeadAttention
from primer.layers.attention.synthesizer.synthesizer import SynthesizerAttention
from primer.layers.attention.windows.windowed import WindowedSelfAttention
from primer.layers.block import block_layers, stack_depth
from primer.layers.convolution.evolved_convolution import EvolvedConvolution
from primer.layers.experts import MixtureOfExperts, MixtureOfExperts2D
from primer.layers.feed_forward_width import feed_forward_width
from primer.layers.position_encodings import relative_attention_type
from primer.layers.ladder import ladder_size
from primer.layers.pre_post_norm import PrePostNormLayerStack
from primer.layers.primer_norm import sublayer_primer_norm
from primer.layers.unset_size import unset_size

__all__ = [
    "block_layers",
    "relative_attention_type",
    "stack_depth",
    "feed_forward_width",
    "ladder_size",
    "DoubleHeadsAttention",
    "EvolvedConvolution",
    "SynthesizerAttention",
    "MDHA",
    "MultiHeadAttention",
    "PrePostNormLayerStack",
    "sublayer_primer_norm",
    "WindowedSelfAttention",
    "MixtureOfExperts",
    "MixtureOfExperts2D",
    "unset_size",
]
