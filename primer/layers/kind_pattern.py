"""Gives the attention layers of a stack their kinds: a pattern repeated over the layers.

`attention_kinds = ["global", "local"]` is GPT-Neo's pattern, in its own notation
`[[["global", "local"], 16]]`: a list of kinds, or of pairs (kinds, repetitions). The pattern is
repeated from the first attention layer to the last, which has to end a repetition.
"""

import inspect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.common.class_names import source_name
from primer.layers.attention.multi_head import MultiHeadAttention
from primer.layers.attention.multi_head_settings import KINDS

NONE = "none"


class NoLayer(transformer.TransformerLayer):
    """Takes the place of a layer that the stack leaves out: an attention layer of kind "none"."""

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Raises a ValueError: a stack that does not leave the layer out would add x to itself."""
        raise ValueError(
            'attention_kinds has the kind "none", and the layer stack does not leave layers out; '
            "set layer_stack to PreNormLayerStack or another stack of this library"
        )


class _OfNextKind:
    """Makes attention layers of one class, each of the next kind."""

    def __init__(self, cls: type, kinds: Iterator[str]) -> None:
        self._cls = cls
        self._kinds = kinds

    def __call__(self, **settings: Any) -> transformer.TransformerLayer:
        kind = next(self._kinds)
        return NoLayer() if kind == NONE else self._cls(kind=kind, **settings)


def with_kinds(
    block: Sequence[Any], attention_kinds: Sequence[Any] | None, num_blocks: int
) -> Sequence[Any]:
    """Returns a block whose attention layers take the kinds of the pattern in turn.

    Args:
        block: layer classes, or lists of a class and its settings, as for `make_layer_stack`.
        attention_kinds: the pattern, or None to leave the kinds to the classes.
        num_blocks: the number of blocks of the stack.

    Raises:
        ValueError: an unknown kind; an attention layer without kinds; or a number of attention
            layers that is no multiple of the pattern's.
    """
    if attention_kinds is None:
        return block
    kinds = expand(attention_kinds)
    classes = [cls for cls in map(_class_of, block) if _is_attention(cls)]
    _check_classes(classes)
    number = len(classes) * num_blocks
    if number % len(kinds):
        raise ValueError(
            f"attention_kinds = {attention_kinds!r}: {len(kinds)} kinds do not cover {number} "
            f"attention layers ({len(classes)} in each of {num_blocks} blocks) a whole number of "
            "times; change the pattern, or num_layers"
        )
    turns = itertools.cycle(kinds)
    return [_in_turn(item, turns) if _is_attention(_class_of(item)) else item for item in block]


def expand(attention_kinds: Sequence[Any]) -> list[str]:
    """Returns the pattern as a list of kinds, `[[["global", "local"], 2]]` as four.

    Raises:
        ValueError: it is no pattern of known kinds.
    """
    kinds = []
    for item in _items(attention_kinds):
        if isinstance(item, str):
            kinds.append(item)
        elif isinstance(item, (list, tuple)) and len(item) == 2 and _is_count(item[1]):
            kinds += expand(item[0]) * item[1]
        else:
            kinds.append(repr(item))
    known = (*KINDS, NONE)
    unknown = [kind for kind in kinds if kind not in known]
    if unknown or not kinds:
        raise ValueError(
            f"attention_kinds = {attention_kinds!r}: expected a list of kinds, each one of "
            f"{', '.join(known)}, or of pairs of such a list and a number of repetitions"
        )
    return kinds


def _items(attention_kinds: Sequence[Any]) -> Sequence[Any]:
    return [attention_kinds] if isinstance(attention_kinds, str) else attention_kinds


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _class_of(item: Any) -> Any:
    """Returns the class of an item of a block, which may be a list of a class and settings."""
    if not isinstance(item, (list, tuple)):
        return item
    return next(part for part in item if not isinstance(part, (str, dict)))


def _is_attention(cls: Any) -> bool:
    return inspect.isclass(cls) and issubclass(cls, transformer_layers.SelfAttention)


def _check_classes(classes: Sequence[type]) -> None:
    for cls in classes:
        if not issubclass(cls, MultiHeadAttention):
            raise ValueError(
                f"attention_kinds is set, and {source_name(cls)} has no kinds; use "
                "MultiHeadAttention, or set attention_kinds to None"
            )


def _in_turn(item: Any, turns: Iterator[str]) -> Any:
    if not isinstance(item, (list, tuple)):
        return _OfNextKind(item, turns)
    return [part if isinstance(part, (str, dict)) else _OfNextKind(part, turns) for part in item]
