"""What runs once the graph of training is built and its session open, before the first step.

The runtime may not import who has something to say there (planning), so `t5_imports` brings both
together, as with `checks`.
"""

from absl import flags

_functions = []


def register(function):
    """Adds a function of the model directory; returns it."""
    if function not in _functions:
        _functions.append(function)
    return function


def run_all(model_dir):
    """Runs every function, in the order in which they came."""
    for function in _functions:
        function(model_dir)


def command_line():
    """The gin files and the texts of `--gin_param` that the run was given.

    Returns:
        (list, list); both empty in a notebook, whose bindings have no place in a file.
    """
    if not flags.FLAGS.is_parsed():
        return [], []
    values = (getattr(flags.FLAGS, name, None) for name in ("gin_file", "gin_param"))
    files, params = (list(value or []) for value in values)
    return files, params
