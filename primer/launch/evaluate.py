"""The command line of the engine that evaluates the checkpoints of a model directory."""

from primer.launch import engine


def engine_arguments(
    model_dir, module_import=(), t5_tfds_data_dir=None, gin_param=(), **asked
) -> list:
    """The arguments of `t5_mesh_transformer` that evaluate one directory.

    Args:
        model_dir: the directory.
        module_import: further modules to import.
        t5_tfds_data_dir: as t5's flag.
        gin_param: further settings, as in "protocol.units = ['bits_per_byte']".
        asked: gin's names -> values; None is left to gin.

    Raises:
        UsageError: the directory is not there or says nothing of its model.
    """
    bindings = [*engine.gin_bindings(asked), *gin_param]
    return engine.arguments_for_model_dir(
        model_dir, "run/evaluate.gin", bindings, module_import, t5_tfds_data_dir
    )
