"""The three models that the demo compares, and the engine's arguments that train one of them."""

import dataclasses

from primer.gin_config import config_files

SIZE = "demo"
TASK = "sotu"
RATE = "learning_rate_schedules.constant.value"


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model of the comparison.

    Attributes:
        name: the file of architectures/, and the folder of the run.
        label: as tables and plots name it.
        activation: the file of activations/ that belongs to it.
    """

    name: str
    label: str
    activation: str


CONTENDERS = (
    Contender("transformer", "Transformer", "relu"),
    Contender("primer_ez", "Primer-EZ", "squared_relu"),
    Contender("primer", "Primer", "squared_relu"),
)


def train_arguments(contender, model_dir, seed=0, bindings=()) -> list:
    """The arguments of `t5_mesh_transformer` that train a contender.

    Args:
        contender: one of CONTENDERS.
        model_dir: where.
        seed: of initial values and data order; with the same seed all contenders read the same
            rows.
        bindings: gin bindings that come last.
    """
    files = [
        *config_files.composition_files(contender.name, contender.activation, SIZE),
        config_files.gin_file("datasets", TASK),
        config_files.gin_file("run", "demo"),
    ]
    return [
        "--module_import=t5_imports",
        f"--model_dir={model_dir}",
        *(f"--gin_file={name}" for name in files),
        *(f"--gin_param={binding}" for binding in bindings),
        f"--seed={seed}",
    ]
