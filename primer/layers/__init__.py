"""Mesh-TensorFlow layers, one idea per file; importing this package registers them with gin."""

from primer.layers import gelu_exact as _registers_gelu_exact  # noqa: F401
from primer.layers import squared_relu as _registers_squared_relu  # noqa: F401
from primer.layers.attention.double_heads import DoubleHeadsAttention
from primer.layers.attention.mdha import MDHA
from primer.layers.attention.multi_head import MultiHeadAttention
from primer.layers.attention.synthesizer.synthesizer import SynthesizerAttention
from primer.layers.attention.windows.windowed import WindowedSelfAttention
from primer.layers.block import block_layers, half_depth, stack_depth
from primer.layers.convolution.evolved_convolution import EvolvedConvolution
from primer.layers.embeddings.adaptive_embedding import AdaptiveEmbedding
from primer.layers.embeddings.token_embedding import TokenEmbedding
from primer.layers.experts import MixtureOfExperts, MixtureOfExperts2D
from primer.layers.experts.gshard.assignment import GShardAssignment
from primer.layers.feed_forward_width import feed_forward_width
from primer.layers.initializers import weight_initializer
from primer.layers.ladder import ladder_size
from primer.layers.position_encodings import (
    has_learned_positions,
    has_sinusoid_positions,
    relative_attention_type,
)
from primer.layers.primer_norm import sublayer_primer_norm, sublayer_uncentered_primer_norm
from primer.layers.recurrence.settings import segment_recurrence
from primer.layers.stacks.parallel import ParallelLayerStack
from primer.layers.stacks.post_norm import PostNormLayerStack
from primer.layers.stacks.pre_norm import PreNormLayerStack
from primer.layers.stacks.pre_post_norm import PrePostNormLayerStack
from primer.layers.stacks.sandwich_norm import SandwichNormLayerStack
from primer.layers.stacks.token_shift import sublayer_token_shift
from primer.layers.unset_size import unset_size

__all__ = [
    "block_layers",
    "relative_attention_type",
    "segment_recurrence",
    "stack_depth",
    "half_depth",
    "feed_forward_width",
    "ladder_size",
    "DoubleHeadsAttention",
    "EvolvedConvolution",
    "SynthesizerAttention",
    "MDHA",
    "MultiHeadAttention",
    "ParallelLayerStack",
    "PostNormLayerStack",
    "PreNormLayerStack",
    "PrePostNormLayerStack",
    "SandwichNormLayerStack",
    "sublayer_primer_norm",
    "sublayer_uncentered_primer_norm",
    "sublayer_token_shift",
    "WindowedSelfAttention",
    "MixtureOfExperts",
    "MixtureOfExperts2D",
    "GShardAssignment",
    "AdaptiveEmbedding",
    "TokenEmbedding",
    "has_learned_positions",
    "has_sinusoid_positions",
    "weight_initializer",
    "unset_size",
]
