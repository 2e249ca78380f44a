"""The four models that the demo compares, and the engine's arguments that train one of them."""

import dataclasses
import os
from collections.abc import Sequence

from primer.experiments.sweeps.expansion import SweepRun
from primer.gin_config import config_files

SIZE = "demo"
TASK = "sotu"
RUN_FILE = "demo"
RATE = "learning_rate_schedules.constant.value"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model of the comparison.

    Attributes:
        name: its file in architectures/, and the folder of its run.
        label: its name in tables and plots.
        activation: the activation of its paper, a file of activations/.
        learning_rate: the peak of its schedule, the best of those that
            `benchmarks/learning_rates.py` tried.
    """

    name: str
    label: str
    activation: str
    learning_rate: float


CONTENDERS = (
    Contender("transformer", "Transformer", "relu", 0.08),
    Contender("primer_ez", "Primer-EZ", "squared_relu", 0.113),
    Contender("primer", "Primer", "squared_relu", 0.113),
    Contender("qwen3", "Qwen3", "swiglu", 0.057),
)


def train_arguments(
    contender: Contender,
    model_dir: str | os.PathLike[str],
    seed: int = 0,
    bindings: Sequence[str] = (),
) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` that train a contender.

    Args:
        contender: one of CONTENDERS.
        model_dir: the directory of its run.
        seed: of initial values and data order; with one seed all contenders read the same rows.
        bindings: gin bindings that override the files' and the learning rate.
    """
    files = [
        *config_files.composition_files(contender.name, contender.activation, SIZE),
        config_files.gin_file("datasets", TASK),
        config_files.gin_file("run", RUN_FILE),
    ]
    return [
        "--module_import=t5_imports",
        f"--model_dir={model_dir}",
        *(f"--gin_file={name}" for name in files),
        f"--gin_param={RATE} = {contender.learning_rate!r}",
        *(f"--gin_param={binding}" for binding in bindings),
        f"--seed={seed}",
    ]


def run_of(
    contender: Contender,
    model_dir: str,
    seed: int = 0,
    steps: int | None = None,
    bindings: Sequence[str] = (),
) -> SweepRun:
    """Returns the run of a contender, as the runs of a sweep over architectures are.

    Args:
        contender: one of CONTENDERS.
        model_dir: the directory of its run.
        seed: as for `train_arguments`.
        steps: the length of the training, or None for that of the demo's gin file.
        bindings: as for `train_arguments`; they set `steps`.
    """
    values = {"architecture": contender.name, "seed": seed}
    settings = {
        **values,
        "activation": contender.activation,
        "size": SIZE,
        "task": TASK,
        "gin_file": [config_files.gin_file("run", RUN_FILE)],
        f"gin.{RATE}": contender.learning_rate,
        **({} if steps is None else {"steps": steps}),
    }
    return SweepRun(
        index=CONTENDERS.index(contender),
        name=f"architecture={contender.name},seed={seed}",
        model_dir=model_dir,
        values=values,
        settings=settings,
        arguments=train_arguments(contender, model_dir, seed, bindings),
    )
