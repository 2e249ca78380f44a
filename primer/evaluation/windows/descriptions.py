"""Phrases on how the protocols cut a text, for models without and with memory."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from primer.evaluation.memory.reach import Memory

_NO_MEMORY = "no context across windows"
_DESCRIPTIONS = {
    "stream": "documents with their end tokens in one stream, cut into windows of {length} tokens; "
    "{context}",
    "document": "each document with its end token alone, cut into windows of {length} tokens; "
    "{context}",
    "packed": "each document with its end token alone, cut into windows of {length} tokens, "
    "several to a row without seeing each other; {context}",
    "sliding": "documents with their end tokens in one stream, in windows of {length} tokens, each "
    "{stride} behind the one before; all but the first window's tokens have at least {overlap} "
    "tokens of context",
    "masked": "documents with their end tokens in one stream, cut into windows of {length} tokens; "
    "{context}",
}


def describe(name: str, length: int, stride: int | None, memory: "Memory | None") -> str:
    """Returns a phrase on how a protocol cuts text, and what a window sees of those before it.

    Args:
        name: the protocol, neither as_released nor transformer_xl.
        length: tokens of a window.
        stride: that of sliding.
        memory: that of the model.
    """
    context = f"memory from window to window: {memory.describe()}" if memory else _NO_MEMORY
    return _DESCRIPTIONS[name].format(
        length=length, stride=stride, overlap=length - (stride or 0), context=context
    )
