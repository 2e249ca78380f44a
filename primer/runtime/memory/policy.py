"""What a run does that needs more memory than there is: a setting of gin's."""

import gin

from primer.common import checks

REFUSE, WARN, IGNORE = VALUES = ("refuse", "warn", "ignore")


@gin.configurable(module="primer")
def memory_check(shortage: str = REFUSE) -> str:
    """Returns what a run of training does that needs more memory than there is.

    Args:
        shortage: "refuse": a run whose predicted peak is above 1.25 times what is available ends
            with the changes that fit, one above 1 says them; "warn": both say them and go on;
            "ignore": the prediction is printed and compared with nothing.

    Raises:
        UsageError: another value.
    """
    return checks.one_of("memory_check.shortage", shortage, VALUES)
