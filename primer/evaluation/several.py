"""What the model directories of one command share: the text, read once, and a table of all.

Each directory has its own gin settings. Two read the same text when task, split and vocabulary are
the same and all that gin says of data is: of anything but layers, optimizers and the run.
"""

import contextlib
import copy

# Configurables of these modules have no say in what the documents of a split are.
NOT_DATA = (
    "mesh_tensorflow",
    "primer.evaluation",
    "primer.generation",
    "primer.layers",
    "primer.planning",
    "primer.runtime",
    "t5.models",
)

_open = []


class Shared:
    """What is shared inside a block.

    Attributes:
      rows: of all directories, in the order in which they were found.
    """

    def __init__(self):
        self.rows = []
        self._text = (None, None)  # The last text and what it is of: one at a time in memory.

    def text(self, key, read):
        """The text of `read()`, or the last one where that has an equal key."""
        if self._text[0] != key:
            self._text = (None, None)  # Free before the next is read.
            self._text = (key, read())
        return self._text[1]


@contextlib.contextmanager
def directories():
    """Inside the block, evaluations share their text and leave their rows; yields a `Shared`."""
    _open.append(Shared())
    try:
        yield _open[-1]
    finally:
        _open.pop()


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


def _key(task, split):
    """Equal for two gin configurations under which a split is the same text and tokens."""
    from gin import config as gin_config

    from primer.data import preflight
    from primer.runtime import wiring

    vocabulary = preflight.find(task).output_features["targets"].vocabulary
    bindings = [
        # A copy resolves macros and references, as a call of the configurable would.
        (scope, selector, name, repr(copy.deepcopy(value)))
        for (scope, selector), values in gin_config._CONFIG.items()
        if _is_of_data(gin_config._REGISTRY.get(selector))
        for name, value in values.items()
    ]
    return task, split, str(wiring.of_vocabulary(vocabulary)), sorted(bindings)


def _is_of_data(configurable):
    """Whether what a binding sets may have a say in the documents."""
    if configurable is None or configurable.selector in ("gin.macro", "gin.constant"):
        return False  # Macros count where they are used.
    module = configurable.wrapped.__module__
    return not any(module == name or module.startswith(name + ".") for name in NOT_DATA)
