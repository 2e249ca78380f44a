"""The factor of each weight's learning rate at another width than that of the settings (muP)."""

from collections.abc import Callable
from typing import Any

import mesh_tensorflow as mtf

from primer.common import graph_marks
from primer.common.class_names import source_name
from primer.errors import UsageError
from primer.parametrization import mup


def factor_of(
    make_optimizer: Callable[..., mtf.optimize.Optimizer], learning_rate: Any, m: float
) -> Callable[[mtf.Variable], float]:
    """Returns the function from a weight to the factor of its rate.

    Args:
        make_optimizer: the class of the optimizer.
        learning_rate: the run's rate.
        m: the width multiplier.

    Raises:
        UsageError: the optimizer has rates of its own, which would not change with the width.
    """
    optimizer = make_optimizer(learning_rate=learning_rate)
    name = source_name(make_optimizer)
    if learning_rate is None:
        raise UsageError(
            "base_width needs utils.run.learning_rate_schedule, which is None: the rate that "
            f"@{name} has then does not change with the width; set learning_rate or schedule"
        )
    if getattr(optimizer, "variable_search", None):
        raise UsageError(
            f"base_width with {name}.variable_search: these rates do not change with the width; "
            "set learning_rate_groups in its place"
        )

    def factor(var: mtf.Variable) -> float:
        if mup.update_size(optimizer, var) == "spectral":
            graph_marks.add_remark(
                f"base_width has no effect on the rates of the matrices that @{name} updates: "
                "updates of this scale carry over to other widths by themselves"
            )
        return mup.rate(optimizer, var, m)

    return factor
