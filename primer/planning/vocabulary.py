"""The vocabulary that a model is planned for, where no data and no option say it."""

import gin

from primer.common import checks

# The size of T5's vocabulary: the published parameter counts of T5's models are for it.
T5 = 32128


@gin.configurable(module="primer")
def planned_vocabulary(size: int | None = None) -> int:
    """Returns the number of token ids for which `primer check` and `primer plan` build a model.

    A run of training takes its task's; `--vocabulary_size` is above both.

    Args:
        size: the number that was published with the model; None: T5's.

    Raises:
        UsageError: no whole number from 1.
    """
    return T5 if size is None else checks.whole_number("published_vocabulary_size", size)
