"""`primer train`: a published model or any composition, on a task, with the task's own settings."""

from primer.gin_config import config_files
from primer.launch import engine
from primer.launch import train as launch_train


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--model", help="a model: " + ", ".join(config_files.names_of_kind("models"))
    )
    for part in launch_train.PARTS:
        parser.add_argument(
            f"--{part}",
            help=f"instead of --model, with the two others: {part}, a name or a gin file",
        )
    parser.add_argument(
        "--task",
        help="a data set with its objective, length, batch, schedule and steps: "
        + ", ".join(config_files.names_of_kind("datasets"))
        + "; or a gin file of your own",
    )
    parser.add_argument(
        "--data",
        help="what `primer data prepare` wrote (its --output): read it, in its vocabulary; "
        "--task is then its own",
    )
    parser.add_argument("--model_dir", required=True, help="where checkpoints and logs go")
    parser.add_argument("--steps", type=int, help="train to this step (the task has a default)")
    parser.add_argument("--seed", type=int, help="of initial values, data order and dropout")
    parser.add_argument(
        "--eval_every", type=int, help="evaluate on the validation split every so many steps"
    )
    add_gin_arguments(parser)


def add_gin_arguments(parser):
    """Adds what is handed on to the engine as it is."""
    for name, what in (
        ("gin_file", "a further gin file, after the model's and the task's; may be repeated"),
        ("gin_param", "a further gin binding, after all files; may be repeated"),
        ("module_import", "a further Python module to import; may be repeated"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], help=what)
    parser.add_argument("--t5_tfds_data_dir", help="the folder of prepared TensorFlow data sets")


def run(options) -> int:
    """Prints the command of the engine and runs it."""
    arguments = launch_train.engine_arguments(options)
    engine.print_command(arguments)
    return engine.run_main(arguments)
