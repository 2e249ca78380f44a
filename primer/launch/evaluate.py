"""The engine's command line that evaluates the checkpoints of a model directory."""

from collections.abc import Sequence
from typing import Any

from primer.launch import engine


def engine_arguments(
    model_dir: str,
    module_import: Sequence[str] = (),
    t5_tfds_data_dir: str | None = None,
    gin_param: Sequence[str] = (),
    trust: Sequence[str] = (),
    **settings: Any,
) -> list[str]:
    """Returns the arguments of `t5_mesh_transformer` that evaluate one directory.

    Args:
        model_dir: the directory.
        module_import: further Python modules to import.
        t5_tfds_data_dir: the value of t5's flag of that name.
        gin_param: further bindings, as in "protocol.units = ['bits_per_byte']".
        trust: as for `engine.arguments_for_model_dir`.
        settings: gin's name of a parameter -> its value; None leaves gin's value in force.

    Raises:
        UsageError: the directory does not exist or has no configuration of a model.
    """
    bindings = [*engine.gin_bindings(settings), *gin_param]
    return engine.arguments_for_model_dir(
        model_dir, "run/evaluate.gin", bindings, module_import, t5_tfds_data_dir, trust
    )
