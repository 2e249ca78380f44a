"""What runs once the graph of training is built and its session open, before the first step.

The runtime may not import who has something to say there (planning), so `t5_imports` brings both
together, as with `checks`.
"""

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
