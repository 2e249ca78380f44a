"""The names of the slot `positions`, and what Mesh-TensorFlow's own parts are told of it.

    t5_bias_shared   biases of relative positions (https://arxiv.org/abs/1910.10683), one table
    t5_bias          the same with a table per layer
    rotary, alibi    in primer/layers/attention/
    learned          a vector per position, added to the embedding (GPT-2)
    sinusoid         the same, fixed (https://arxiv.org/abs/1706.03762)
    transformer_xl   in primer/layers/attention/transformer_xl/: logits of the distance
                     (https://arxiv.org/abs/1901.02860); transformer_xl_learned, transformer_xl_
                     sinusoid and transformer_xl_absolute are the other kinds of its authors' code
    none             attention does not distinguish positions, but for those that it cannot see

The positions of learned and sinusoid restart with each text of a packed example.
"""

import gin
from mesh_tensorflow.transformer import transformer

_RELATIVE_ATTENTION = {"t5_bias_shared": "bias_shared", "t5_bias": "bias"}
POSITIONS = (
    *_RELATIVE_ATTENTION,
    "rotary",
    "alibi",
    "transformer_xl",
    "transformer_xl_learned",
    "transformer_xl_sinusoid",
    "transformer_xl_absolute",
    "learned",
    "sinusoid",
    "none",
)


@gin.configurable
def has_learned_positions(positions: str) -> bool:
    """Returns whether a position's learned vector is added, for Unitransformer.

    Args:
        positions: one of POSITIONS.
    """
    return check(positions) == "learned"


@gin.configurable
def has_sinusoid_positions(positions: str) -> bool:
    """Returns whether a position's sinusoids are added, for Unitransformer.

    Args:
        positions: one of POSITIONS.
    """
    return check(positions) == "sinusoid"


@gin.configurable
def relative_attention_type(positions: str) -> str | None:
    """Returns `SelfAttention.relative_attention_type`.

    Args:
        positions: one of POSITIONS.
    """
    return _RELATIVE_ATTENTION.get(check(positions))


def check(positions: str) -> str:
    """Returns its argument.

    Raises:
        ValueError: it is none of POSITIONS.
    """
    if positions not in POSITIONS:
        names = ", ".join(f'"{name}"' for name in POSITIONS)
        raise ValueError(f"positions = {positions!r}: expected one of {names}")
    return positions


def check_length(context: transformer.Context) -> None:
    """Checks that absolute positions reach as far as the text.

    Mesh-TensorFlow checks rows of one text. In packed rows, whose texts may be as long as the row,
    it gives positions beyond the last one zeros.

    Raises:
        ValueError: the text is longer.
    """
    available, length = context.model.max_length_dim, context.length_dim
    if available is not None and length is not None and length.size > available.size:
        raise ValueError(
            f"max_length = {available.size} positions have an embedding, the text has "
            f"{length.size}; set the macro max_length (or Unitransformer.max_length) to the "
            "longest text before training, or shorten the text"
        )
