"""What the model directories of one command share: text, graph and session, and a table of all.

Each directory has its own gin settings. Two read the same text when task, split and vocabulary are
the same and all that gin says of data is: of anything but layers, optimizers and the run. Two have
the same graph when the layers are built alike and all that gin says of anything but data and
training is the same.
"""

import contextlib
import copy

# Configurables of these modules have no say in what the documents of a split are.
NOT_DATA = (
    "mesh_tensorflow",
    "primer.common.random_seed",
    "primer.evaluation",
    "primer.generation",
    "primer.layers",
    "primer.planning",
    "primer.runtime",
    "t5.models",
)
# These have none in the graph that scores, once its length, rows and mesh are given.
NOT_MODEL = (
    "mesh_tensorflow.optimize",
    "mesh_tensorflow.transformer.learning_rate_schedules",
    "primer.common.random_seed",
    "primer.data",
    "primer.evaluation",
    "primer.generation",
    "primer.planning",
    "primer.runtime.training.validation",
    "seqio",
    "t5.data",
    "t5.models",
)
# `utils.run` has the trainer's settings beside the model's.
OF_TRAINING = {
    "batch_size",
    "eval_checkpoint_step",
    "iterations_per_loop",
    "keep_checkpoint_max",
    "learning_rate_schedule",
    "optimizer",
    "perplexity_eval_steps",
    "save_checkpoints_steps",
    "train_model_fn",
    "train_steps",
}

_open = []


class Shared:
    """What is shared inside a block.

    Attributes:
        rows: of all directories, in the order in which they were found.
    """

    def __init__(self):
        self.rows = []
        # The last ones and what they are of: one at a time in memory.
        self._text = (None, None)
        self._scorer = (None, None)

    def text(self, key, read):
        """The text of `read()`, or the last one where that has an equal key."""
        if self._text[0] != key:
            self._text = (None, None)  # Free before the next is read.
            self._text = (key, read())
        return self._text[1]

    def scorer(self, key, make):
        """The scorer of `make()`, or the last one where that has an equal key."""
        if self._scorer[0] != key:
            self.close()
            self._scorer = (key, make())
        return self._scorer[1]

    def close(self):
        """Ends the session of the last scorer."""
        if self._scorer[1] is not None:
            self._scorer[1].close()
        self._scorer = (None, None)


@contextlib.contextmanager
def directories():
    """Inside the block, evaluations share their text and leave their rows; yields a `Shared`."""
    _open.append(Shared())
    try:
        yield _open[-1]
    finally:
        _open.pop().close()


def add_rows(rows):
    """Leaves the rows of a directory for the table of all."""
    if _open:
        _open[-1].rows.extend(rows)


def text(protocol, task, split, length):
    """The text that a protocol scores of a split: read now, or shared with the last directory.

    Args:
        protocol, length: the protocol and the model's length.
        task, split: names.
    """

    def read():
        return protocol.read(task, split, length)

    # What was released reads rows of training, which more settings have a say in.
    if not _open or protocol.name == "as_released":
        return read()
    return _open[-1].text(_key(task, split), read)


@contextlib.contextmanager
def scorer(make, model, *particulars):
    """The `Scorer` of `make()` inside the block, or that of the last directory if it is the same.

    Args:
        make: makes one.
        model: the Mesh-TF model that it scores with.
        particulars: what else `make` was made of; equal ones print alike.
    """
    if _open:
        yield _open[-1].scorer(_key_of_model(model, particulars), make)
        return
    with contextlib.closing(make()) as made:
        yield made


def _key(task, split):
    """Equal for two gin configurations under which a split is the same text and tokens."""
    from primer.checkpoints import model_description
    from primer.data import preflight

    vocabulary = preflight.find_task(task).output_features["targets"].vocabulary
    return (
        task,
        split,
        str(model_description.describe_vocabulary(vocabulary)),
        _bindings_outside(NOT_DATA),
    )


def _key_of_model(model, particulars):
    """Equal for two gin configurations under which a model has the same graph."""
    from primer.checkpoints import model_description

    sizes = model.input_vocab_size_unpadded, model.output_vocab_size_unpadded
    bindings = [
        (scope, selector, name, value)
        for scope, selector, name, value in _bindings_outside(NOT_MODEL)
        if not (selector.endswith("utils.run") and name in OF_TRAINING)
    ]
    return str(model_description.describe_model(model)), sizes, repr(particulars), bindings


def _bindings_outside(modules):
    """Sorted (scope, selector, name, value as a text) of what gin sets elsewhere."""
    from primer.gin_config import gin_state

    return sorted(
        # A copy resolves macros and references, as a call of the configurable would.
        (scope, selector, name, repr(copy.deepcopy(value)))
        for (scope, selector), values in gin_state.bindings().items()
        if _is_outside(gin_state.configurable_named(selector), modules)
        for name, value in values.items()
    )


def _is_outside(configurable, modules):
    """Whether a binding sets something that is in none of the modules."""
    if configurable is None or configurable.selector in ("gin.macro", "gin.constant"):
        return False  # Macros count where they are used.
    module = configurable.wrapped.__module__
    return not any(module == name or module.startswith(name + ".") for name in modules)
