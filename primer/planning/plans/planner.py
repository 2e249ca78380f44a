"""Makes plans of the run that gin files describe: with its mesh and layout, or with others."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from primer.planning.layouts.notation import layout_text, mesh_text
from primer.planning.machines import chips

if TYPE_CHECKING:
    from primer.planning.device_program.program import DeviceProgram
    from primer.planning.plans import repeated_blocks
    from primer.planning.plans.plan import Changes, Plan

STACK = "primer.layers.stacks.pre_norm.PreNormLayerStack"
MICROBATCHES = "mesh_tensorflow.transformer.utils.serialize_num_microbatches"
LAYER_STACK = "mesh_tensorflow.transformer.transformer.LayerStack"
# Changes of the settings; layers are recomputed if either setting says so.
RECOMPUTED: "Changes" = {(STACK, "recompute"): "layers"}
NOT_RECOMPUTED: "Changes" = {
    (STACK, "recompute"): "none",
    (LAYER_STACK, "recompute_grads"): False,
}
TOKENS_PER_MICROBATCH = (MICROBATCHES, "tokens_per_microbatch_per_replica")
_PRECISION = ("primer.precision", "activation_dtype")


@dataclasses.dataclass(frozen=True)
class Machine:
    """On what a plan is made.

    Attributes:
        chip: a value of `chips.NAMES`.
        utilization: the share of the peak that matrix products are taken to reach.
        vocabulary_size: the number of token ids.
        whole: whether every block is lowered, in place of a few whose numbers are extended.
        memory: the bytes that the chip, or the machine of `chips.CPU`, has; None: all of its own.
    """

    chip: str
    utilization: float
    vocabulary_size: int
    whole: bool = False
    memory: float | None = None


class Planner:
    """Makes plans of the run in gin's configuration.

    Args:
        machine: the chip, and how the time on it is estimated.
        measured: {data type: this machine's processor}, which planners of several models share.
    """

    def __init__(self, machine: Machine, measured: dict[str, chips.Chip] | None = None) -> None:
        self.machine = machine
        self._measured = {} if measured is None else measured
        self._model: tuple[repeated_blocks.Stack | None, dict[str, str]] | None = None
        self._dimensions: set[str] = set()

    def plan(
        self,
        name: str,
        mesh: Mapping[str, int],
        layout: Mapping[str, str],
        changes: "Changes | None" = None,
    ) -> "Plan":
        """Returns the plan of training.

        Args:
            name: what it is, in words.
            mesh: {axis: size}.
            layout: {dimension: axis}.
            changes: settings of gin to change.

        Raises:
            UsageError: the model cannot be built, or the layout does not fit it.
        """
        from primer.planning.machines import step_time
        from primer.planning.plans.plan import Plan

        program = self.program(mesh, layout, changes)
        chip = self._chip(program.activation_dtype)
        if self.machine.memory is not None:
            chip = dataclasses.replace(chip, memory=self.machine.memory)
        time = step_time.estimate(program, chip, self.machine.utilization)
        named = {_name_of(key): value for key, value in (changes or {}).items()}
        classes = self._stack_and_classes()[1]
        size = self.machine.vocabulary_size
        return Plan(name, dict(mesh), dict(layout), chip, program, time, named, classes, size)

    def program(
        self,
        mesh: Mapping[str, int],
        layout: Mapping[str, str],
        changes: "Changes | None" = None,
        mode: str = "train",
    ) -> "DeviceProgram":
        """Returns the program of one device; arguments as `plan`, and "train" or "eval"."""
        from primer.planning import parse
        from primer.planning.device_program import planner
        from primer.planning.plans import extended

        make = functools.partial(
            planner.device_program,
            self.machine.vocabulary_size,
            mesh_text(mesh),
            layout_text(layout),
            mode,
            for_tpu=chips.is_tpu(self.machine.chip),
        )
        with self._settings(changes or {}), parse.building("the plan"):
            stack, _ = self._stack_and_classes()
            if stack is None or self.machine.whole:
                return make()
            return extended.program(stack, make)

    def _stack_and_classes(self) -> "tuple[repeated_blocks.Stack | None, dict[str, str]]":
        """Returns the blocks that may be extended, and the classes of layers, of a model."""
        from primer.planning.plans import repeated_blocks

        if self._model is None:
            self._model = repeated_blocks.stack_of(self.machine.vocabulary_size)
        return self._model

    def dimensions(self) -> set[str]:
        """Returns the dimensions of the model, by the names that layouts use."""
        from primer.planning.layouts import checks, run_check

        if not self._dimensions:
            graph = run_check.graph_of_blocks(self.machine.vocabulary_size)
            self._dimensions = checks.dimension_names(graph)
        return self._dimensions

    @contextlib.contextmanager
    def _settings(self, changes: "Changes") -> Iterator[None]:
        from primer.gin_config import gin_state
        from primer.gin_config.values import bound

        values = dict(changes)
        chip = self.machine.chip
        is_gpu = chip in chips.ACCELERATORS and not chips.is_tpu(chip)
        if is_gpu and bound(".".join(_PRECISION), "auto") == "auto":
            values[_PRECISION] = "bfloat16"  # Not what this machine has.
        with gin_state.parameters_bound(values):
            yield

    def _chip(self, dtype: str) -> chips.Chip:
        """Returns the chip; this machine's processor is measured once for each data type."""
        if self.machine.chip != chips.CPU:
            return chips.ACCELERATORS[self.machine.chip]
        if dtype not in self._measured:
            from primer.planning.machines import cpu

            self._measured[dtype] = cpu.this_processor(dtype)
        return self._measured[dtype]


def _name_of(setting: tuple[str, str]) -> str:
    """Returns the name of a setting as gin files write it: the slot, of recomputation."""
    selector, parameter = setting
    return parameter if selector == STACK else f"{selector.rsplit('.', 1)[-1]}.{parameter}"


@contextlib.contextmanager
def batch_held(rows: int) -> Iterator[None]:
    """Holds the rows of a batch in the block: by default more devices have larger batches.

    Args:
        rows: the rows of a step on all devices.
    """
    from primer.gin_config import gin_state
    from primer.planning import run_graph

    size = ("sequences_per_batch", rows)
    with gin_state.parameter_bound(run_graph.RUN, "batch_size", size):
        yield


@contextlib.contextmanager
def settings_of(files: Sequence[str], params: Sequence[str]) -> Iterator[None]:
    """Parses gin files for the block, as a run does, and restores gin's configuration after it.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.

    Raises:
        UsageError: gin cannot parse the files.
    """
    import tensorflow.compat.v1 as tf

    from primer.common import gc_pause
    from primer.gin_config import gin_state, isolation
    from primer.planning import check, run_graph

    tf.disable_v2_behavior()
    with isolation.isolated(), gc_pause.paused():
        check.parse(files, params)
        # The mesh of a plan has no devices.
        with gin_state.parameter_bound(run_graph.RUN, "mesh_devices", None):
            yield
