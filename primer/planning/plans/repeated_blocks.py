"""The blocks of a stack that are equal, or repeat with a period."""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from primer.common.class_names import class_name
from primer.gin_config import gin_state
from primer.planning import parse, run_graph

BLOCK = re.compile(r"block_(\d+)")
FEW, SOME = 2, 3  # Periods of the two programs that are extended.
_LONGEST_PERIOD = 4


@dataclasses.dataclass(frozen=True)
class Stack:
    """The blocks of a model.

    Attributes:
        blocks: their number.
        period: after how many the layers repeat.
    """

    blocks: int
    period: int

    def part(self, part: str, copy: int) -> str:
        """Returns the name of a part of the middle or the last period for a later period."""
        shift = copy * self.period
        return BLOCK.sub(lambda match: f"block_{int(match[1]) + shift:03d}", part, count=1)

    def copies(self, part: str) -> Iterable[int]:
        """Returns by how many periods the copies of a part of SOME periods are shifted."""
        match = BLOCK.match(part)
        more = self.blocks // self.period - SOME
        if not match or int(match[1]) < self.period:
            return (0,)
        is_middle = int(match[1]) < 2 * self.period
        return range(more + 1) if is_middle else (more,)


def stack_of(vocabulary_size: int) -> tuple[Stack | None, dict[str, str]]:
    """Returns the stack of the model that gin describes, and the classes of its layers.

    Args:
        vocabulary_size: the number of token ids.

    Returns:
        The stack, None if its blocks do not repeat; and {part: name of the class of the layer}.
    """
    with gin_state.recorded_calls_restored(), parse.building("the model"):
        model, graph = run_graph.build_forward(vocabulary_size)
        flops = run_graph.cost_of(model, graph).flops
    classes = {layer.name: class_name(layer) for layer in model.layer_stack._layers}
    blocks: dict[int, list[Any]] = {}
    for name, kind in classes.items():
        match = BLOCK.match(name)
        if not match:
            return None, classes
        own = name.partition("/")[2], kind, flops.get(name, 0)
        blocks.setdefault(int(match[1]), []).append(own)
    for variable in graph.trainable_variables:
        match = BLOCK.match(variable.name.split("/", 1)[-1])
        if match:
            shape = variable.name.split(match[0])[-1], tuple(variable.shape.dims)
            blocks[int(match[1])].append(shape)
    return _repeated([blocks[number] for number in sorted(blocks)]), classes


def _repeated(blocks: list[list[Any]]) -> Stack | None:
    """Returns the stack of blocks that repeat, but for the first one and the last one."""
    middle = blocks[1:-1]
    for period in range(1, _LONGEST_PERIOD + 1):
        is_long = len(blocks) % period == 0 and len(blocks) > SOME * period
        if is_long and all(a == b for a, b in zip(middle, middle[period:], strict=False)):
            return Stack(len(blocks), period)
    return None


@contextlib.contextmanager
def built_with(number: int) -> Iterator[None]:
    """Builds models with a number of blocks, inside the `with` block."""
    build = functools.partial(run_graph.build_run, is_whole=False)
    with (
        gin_state.parameter_bound(run_graph.STACK, "num_layers", number),
        run_graph.replaced(run_graph, "build_run", build),
    ):
        yield
