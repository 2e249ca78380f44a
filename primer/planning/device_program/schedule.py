"""The order in which a step's operations run on one device, for the memory that it takes.

- `as_built`: forward pass, backward pass, as Mesh-TF builds them; the update of a weight follows
  when its gradient is complete, not after all gradients (an optimizer that needs the norm of all
  gradients waits for them). So a compiler like XLA's schedules, which looks for a low peak.
- `as_ready`: TensorFlow's executor, on CPUs and GPUs, runs operations in the order in which their
  operands become ready. It computes parts of the backward pass that need no gradient, such as the
  zeros of a broadcast, during the forward pass, and keeps them until they are read.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from primer.planning.device_program.operations import Loop, Node
from primer.planning.device_program.parts import UPDATE

_NEVER = -1


def as_built(nodes: Sequence[Node]) -> list[Node]:
    """Returns the operations in the order in which a compiled program runs them.

    Args:
        nodes: in the order in which the graph was built.
    """
    times = _gradient_times(nodes)
    for node in reversed(nodes):
        if _moves(node) and times[node] == _NEVER:  # Needs no gradient: when something reads it.
            readers = (reader for value in node.outputs for reader in value.readers)
            before = (times[r] - (0.0 if _moves(r) else 0.5) for r in readers)
            times[node] = min(before, default=node.index)
    return sorted(nodes, key=lambda node: (times[node], _moves(node), node.index))


def as_ready(nodes: Sequence[Node]) -> list[Node]:
    """Returns the operations in the order in which TensorFlow's executor runs them in one thread.

    Iterations of a loop run one after the other.

    Args:
        nodes: in the order in which the graph was built.
    """
    known = {node.operation: node for node in nodes}
    bodies: dict[Loop, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.loop and node.kind != "Exit":
            bodies[node.loop].append(node)
    missing: dict[Node, int] = {}
    waiting: dict[Node, list[Node]] = defaultdict(list)
    for node in nodes:
        needed = {value.node for value in node.inputs}
        needed |= {known[o] for o in node.operation.control_inputs if o in known}
        if node.kind == "Merge":  # Its other operand comes from the iteration before.
            needed = {node.inputs[0].node}
        elif node.kind == "Exit" and node.loop:
            needed |= set(bodies[node.loop])
        missing[node] = len(needed)
        for source in needed:
            waiting[source].append(node)
    ready = deque(node for node in nodes if not missing[node])
    order = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for reader in waiting[node]:
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    return order


def _moves(node: Node) -> bool:
    return node.phase == UPDATE and node.loop is None


def _gradient_times(nodes: Iterable[Node]) -> dict[Node, float]:
    """Returns when the last operation before the update ends that each operation depends on."""
    times: dict[Node, float] = {}
    for node in nodes:
        if _moves(node):
            times[node] = max((times[value.node] for value in node.inputs), default=_NEVER)
        else:
            times[node] = node.index
    return times
