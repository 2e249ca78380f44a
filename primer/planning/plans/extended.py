"""The program of a device for many blocks, extended from those of two and of three periods.

Blocks in the middle of a stack are equal, or repeat with a period (`attention_kinds`). The program
of three periods has one in the middle, between the first, which owns what layers share, and the
last; its numbers stand for all others. What lies outside the blocks (the optimizer's operations,
variables that are stacked) grows by the same amount with each period: the difference of both
programs. A peak of memory in some part of the first period, the last or outside grows by its own
difference; the largest of them is the peak.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from primer.planning.device_program.program import (
    Collective,
    DeviceProgram,
    Kernel,
    Memory,
    Moment,
    Work,
)
from primer.planning.plans.repeated_blocks import BLOCK, FEW, SOME, Stack, built_with


def program(stack: Stack, make: Callable[[], DeviceProgram]) -> DeviceProgram:
    """Returns the program of the whole stack.

    Args:
        stack: the stack.
        make: returns the program for the blocks that gin describes.
    """
    with built_with(FEW * stack.period):
        few = make()
    with built_with(SOME * stack.period):
        some = make()
    return Extension(stack, few, some).program()


class Extension:
    """Two programs, and what follows from them.

    Args:
        stack: the whole stack.
        few: the program of FEW periods.
        some: the program of SOME periods.
    """

    def __init__(self, stack: Stack, few: DeviceProgram, some: DeviceProgram) -> None:
        self._stack, self._few, self._some = stack, few, some
        self._more = stack.blocks // stack.period - SOME

    def program(self) -> DeviceProgram:
        """Returns the program of the whole stack."""
        some = self._some
        variables = [
            dataclasses.replace(v, part=part, name=v.name.replace(v.part, part))
            for v in some.variables
            for part in self._parts(v.part)
        ]
        parts = sorted({part for own in some.parts for part in self._parts(own)}, key=self._place)
        return dataclasses.replace(
            some,
            parts=parts,
            variables=variables,
            collectives=self._collectives(),
            work=self._work(),
            kernels=self._kernels(),
            memory=self._memory(variables),
        )

    def _parts(self, part: str) -> list[str]:
        return [self._stack.part(part, copy) for copy in self._stack.copies(part)]

    def _place(self, part: str) -> tuple[int, int, str]:
        """The place of a part: before the blocks, a block, after them."""
        match = BLOCK.match(part)
        if match:
            return 1, int(match[1]), part
        names = self._some.parts
        first = min((n for n, name in enumerate(names) if BLOCK.match(name)), default=0)
        number = names.index(part)
        return (0 if number < first else 2), number, part

    def _grown(self, few: float, some: float) -> int:
        return max(round(some + self._more * (some - few)), 0)

    def _kernels(self) -> list[Kernel]:
        """Returns the kernels: those in blocks copied.

        Outside, their numbers grow by the difference of both programs, below 0 for one that only
        the smaller program has: so all sums grow evenly, also where variables are stacked.
        """
        found: list[Kernel] = []
        outside: Counter[Kernel] = Counter()
        for program, weight in ((self._some, 1 + self._more), (self._few, -self._more)):
            for kernel in program.kernels:
                if not BLOCK.match(kernel.part):
                    outside[dataclasses.replace(kernel, times=0)] += weight * kernel.times
                elif program is self._some:
                    parts = self._parts(kernel.part)
                    found += [dataclasses.replace(kernel, part=part) for part in parts]
        found += [dataclasses.replace(kernel, times=n) for kernel, n in outside.items() if n]
        return found

    def _collectives(self) -> list[Collective]:
        """Returns the collectives: copied in blocks, grown outside them."""
        found: list[Collective] = []
        outside: dict[Any, list[list[Collective]]] = {}
        for number, program in enumerate((self._few, self._some)):
            for record in program.collectives:
                if not BLOCK.match(record.part):
                    outside.setdefault(_kind(record), [[], []])[number].append(record)
                elif number:
                    parts = self._parts(record.part)
                    found += [dataclasses.replace(record, part=part) for part in parts]
        for before, after in outside.values():
            found += self._outside(before, after)
        return found

    def _outside(self, few: list[Collective], some: list[Collective]) -> Iterator[Collective]:
        """Yields the records of a kind outside the blocks.

        Equal ones grow in number; the others, of stacked variables, become one that grows in bytes.
        """
        known = {dataclasses.replace(record, times=0): record.times for record in few}
        rest: list[Collective] = []
        for record in some:
            times = known.pop(dataclasses.replace(record, times=0), None)
            if times is None:
                rest.append(record)
            else:
                yield dataclasses.replace(record, times=self._grown(times, record.times))
        if rest:
            left = [record for record in few if dataclasses.replace(record, times=0) in known]
            size = self._grown(_total(left), _total(rest))
            yield dataclasses.replace(rest[0], times=1, bytes=size)

    def _work(self) -> dict[tuple[str, str], Work]:
        found: dict[tuple[str, str], Work] = {}
        for (part, phase), work in self._some.work.items():
            if BLOCK.match(part):
                found |= {(own, phase): work for own in self._parts(part)}
                continue
            before = self._few.work.get((part, phase), Work())
            values = {
                field.name: self._grown(getattr(before, field.name), getattr(work, field.name))
                for field in dataclasses.fields(Work)
            }
            found[part, phase] = Work(**values)
        return found

    def _memory(self, variables: list[Any]) -> Memory:
        few, some = self._few.memory, self._some.memory
        roles = {"parameter": "parameters", "slot": "slots", "state": "states"}
        held = dict.fromkeys(some.variables, 0)
        for variable in variables:
            held[roles[variable.role]] += variable.bytes
        timeline = self._timeline()
        peak = max(timeline, key=lambda moment: moment.bytes)
        kinds = {
            kind: self._grown(few.at_peak.get(kind, 0), some.at_peak.get(kind, 0))
            for kind in some.at_peak
        }
        kinds |= {kind: number for kind, number in held.items() if number}
        rest = peak.bytes - sum(kinds.values())
        kinds["temporary"] = kinds.get("temporary", 0) + rest
        return Memory(
            variables=held,
            gradients=self._by_part(few.gradients, some.gradients),
            weight_casts=self._by_part(few.weight_casts, some.weight_casts),
            activations=self._by_part(few.activations, some.activations),
            before_backward=self._grown(few.before_backward, some.before_backward),
            peak=peak.bytes,
            peak_part=peak.part,
            peak_phase=peak.phase,
            at_peak=kinds,
            timeline=timeline,
        )

    def _by_part(self, few: dict[str, int], some: dict[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for part, number in some.items():
            if BLOCK.match(part):
                found |= dict.fromkeys(self._parts(part), number)
            else:
                found[part] = self._grown(few.get(part, 0), number)
        return found

    def _timeline(self) -> list[Moment]:
        """Returns the highest moments of the first period, the last one, and outside."""
        few, some = (
            self._highest(p, periods) for p, periods in ((self._few, FEW), (self._some, SOME))
        )
        found = []
        for (place, phase), moment in some.items():
            part = self._stack.part(moment.part, self._more if place.startswith("last") else 0)
            before = few.get((place, phase), moment).bytes
            found.append(Moment(part, phase, self._grown(before, moment.bytes)))
        return found

    def _highest(self, program: DeviceProgram, periods: int) -> dict[tuple[str, str], Moment]:
        period = self._stack.period
        found: dict[tuple[str, str], Moment] = {}
        for moment in program.memory.timeline:
            match = BLOCK.match(moment.part)
            place = moment.part
            if match:
                number = int(match[1])
                last = number - (periods - 1) * period
                if number >= period > 0 > last:
                    continue  # In the middle.
                place = f"first {place}" if number < period else f"last {last} {place[9:]}"
            key = place, moment.phase
            if key not in found or moment.bytes > found[key].bytes:
                found[key] = moment
        return found


def _kind(record: Collective) -> tuple:
    """Returns what is equal in the collectives that grow together."""
    names = ("kind", "purpose", "axes", "group_size", "part", "phase", "dtype")
    return tuple(getattr(record, name) for name in names)


def _total(records: Iterable[Collective]) -> int:
    return sum(record.bytes * record.times for record in records)
