"""What is in memory at each moment of a step."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from primer.planning.device_program.flops import PRODUCTS
from primer.planning.device_program.liveness import Buffer, Liveness
from primer.planning.device_program.operations import Node
from primer.planning.device_program.parts import BACKWARD
from primer.planning.device_program.program import TEMPORARY, Moment


class Replay:
    """Allocates and frees the buffers of a step in order.

    Args:
        liveness: the buffers.
        kinds: the kind of memory of each.
        held: {kind: bytes} of the variables.
        copies: returns what an operation allocates only while it runs.

    Attributes:
        timeline: the stretches of the step in one part and phase, with the most in use at once.
        peak: the moment with the most in use.
        at_peak: {kind: bytes} then.
        before_backward: what the buffers take when the backward pass's first product begins.
    """

    def __init__(
        self,
        liveness: Liveness,
        kinds: Mapping[Buffer, str],
        held: Mapping[str, int],
        copies: Callable[[Node], int],
    ) -> None:
        self._kinds = kinds
        self._live: Counter[str] = Counter(held)
        self._total = variables = sum(held.values())
        self.timeline: list[Moment] = []
        self.peak, self.at_peak = Moment("", "", 0), dict(held)
        self.before_backward: int | None = None
        starts, ends = defaultdict(list), defaultdict(list)
        for buffer in liveness.buffers:
            starts[buffer.start].append(buffer)
            ends[buffer.end].append(buffer)
        replaced = {buffer.replaces for buffer in liveness.buffers}
        for position, node in enumerate(liveness.order):
            is_backward = node.phase == BACKWARD and node.kind in PRODUCTS
            if is_backward and self.before_backward is None:
                self.before_backward = self._total - variables
            for buffer in starts[position]:
                self._add(buffer, buffer.bytes)
                if buffer.replaces:
                    self._add(buffer.replaces, -buffer.bytes)
            self._look(node, copies(node))
            for buffer in ends[position]:
                if buffer not in replaced:
                    self._add(buffer, -buffer.bytes)

    def _add(self, buffer: Buffer, size: int) -> None:
        self._live[self._kinds[buffer]] += size
        self._total += size

    def _look(self, node: Node, copies: int) -> None:
        """Records what is in use while an operation runs."""
        moment = Moment(node.part, node.phase, self._total + copies)
        if moment.bytes > self.peak.bytes:
            self.peak = moment
            live = self._live + Counter({TEMPORARY: copies})
            self.at_peak = {kind: size for kind, size in live.items() if size}
        last = self.timeline[-1] if self.timeline else None
        if last and (last.part, last.phase) == (node.part, node.phase):
            self.timeline[-1] = max(last, moment, key=lambda m: m.bytes)
        else:
            self.timeline.append(moment)
