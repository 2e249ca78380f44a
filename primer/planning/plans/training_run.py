"""What a run of training takes, planned from the words of its command, without reading its data.

The batch, the length, the steps and the vocabulary are those that the run reads from gin and from
its task.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from primer.gin_config.before_imports import engine_arguments

if TYPE_CHECKING:
    from primer.cost.model_cost import ModelCost
    from primer.planning.machines.chips import Chip

_MICROBATCHES = (
    "mesh_tensorflow.transformer.utils.serialize_num_microbatches.tokens_per_microbatch_per_replica"
)


@dataclasses.dataclass(frozen=True)
class RunModel:
    """The model of a run, and what the run feeds it.

    Attributes:
        cost: its parameters and FLOPs per token.
        vocabulary_size: the number of token ids of the run's task.
        length: the tokens of a row.
        width: the width of the model, d_model.
        microbatch_rows: how many rows a microbatch has, where the rows of a batch can be divided.
    """

    cost: "ModelCost"
    vocabulary_size: int
    length: int
    width: int
    microbatch_rows: int


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """The plan of a run.

    Attributes:
        model: the model.
        steps: the last step, `utils.run.train_steps`.
        tokens_per_step: the tokens of a batch, padding included.
        peak: the most memory in bytes of a device; of all devices of a CPU together.
        capacity: the memory of the device, or of the machine, in bytes.
        tokens_per_second: the estimate.
    """

    model: RunModel
    steps: int
    tokens_per_step: int
    peak: int
    capacity: float
    tokens_per_second: float


def model_of(words: Sequence[str]) -> RunModel:
    """Returns the model of a run.

    Everything that the run imports has to be imported (`engine_imports`).

    Args:
        words: the run's arguments of `t5_mesh_transformer`.

    Raises:
        UsageError: gin cannot parse the files, the model cannot be built, or there is no such task.
    """
    with _settings(words):
        return _model()


def plan_of(
    words: Sequence[str], chip: str, utilization: float, measured: "dict[str, Chip]"
) -> RunPlan:
    """Returns the plan of a run; arguments and errors as `model_of`.

    Args:
        words: the run's arguments of `t5_mesh_transformer`.
        chip: a value of `chips.NAMES`.
        utilization: the share of the peak that matrix products are taken to reach.
        measured: {data type: this machine's processor}, filled by the first plans that need it.
    """
    from primer.gin_config.values import configured
    from primer.planning.plans import planner as plans
    from primer.planning.plans import request

    with _settings(words):
        model = _model()
        mesh, layout = request.mesh_and_layout(request.Request(files=(), chip=chip))
        machine = plans.Machine(chip, utilization, model.vocabulary_size)
        plan = plans.Planner(machine, measured).plan("as set", mesh, layout)
        devices = plan.program.devices if plan.chip.shares_host else 1
        return RunPlan(
            model,
            int(configured("utils.run.train_steps")),
            plan.program.tokens,
            plan.program.memory.peak * devices,
            plan.capacity * devices,
            plan.time.tokens_per_second,
        )


@contextlib.contextmanager
def _settings(words: Sequence[str]) -> Iterator[None]:
    """Parses the settings of a command for the block."""
    from primer.planning.plans import planner

    arguments = engine_arguments.parse(words)
    with planner.settings_of(arguments.gin_files, arguments.gin_params):
        yield


def _model() -> RunModel:
    from primer.gin_config.values import bound
    from primer.planning import parse, run_graph, vocabulary

    vocabulary_size = vocabulary.of_task()
    with parse.building("the model"):
        model, graph = run_graph.build_forward(vocabulary_size)
        cost = run_graph.cost_of(model, graph)
    rows = (bound(_MICROBATCHES) or 0) // cost.length
    return RunModel(cost, vocabulary_size, cost.length, model.model_dim.size, max(rows, 1))
