"""The steps of training whose update was skipped (`primer.optimizers.outliers`)."""

from collections.abc import Mapping
from typing import Any

from primer.optimizers import outliers

# So many skipped steps in a row end a run: its weights do not change any more.
MOST_IN_A_ROW = 100


class SkippedSteps:
    """Follows the numbers of skipped steps, which training has among its scalars.

    Attributes:
        total: the skipped steps since the beginning of the run, also before it resumed.
        in_a_row: the last steps without one that was not skipped.
    """

    def __init__(self) -> None:
        self.total = 0
        self.in_a_row = 0

    def update(self, scalars: Mapping[str, Any]) -> None:
        """Reads the numbers after a step from Mesh-TF's scalars of the step, by name."""
        self.total = int(scalars.get(outliers.SKIPPED, 0))
        self.in_a_row = int(scalars.get(outliers.SKIPPED_IN_A_ROW, 0))

    def problem(self, step: int, loss: float) -> str | None:
        """Returns why training cannot go on after a step with a loss, or None."""
        if self.in_a_row < MOST_IN_A_ROW:
            return None
        return (
            f"the last {self.in_a_row} steps were skipped as outliers (skip_outliers), step {step} "
            f"with a loss of {loss:.4g}: the weights do not change any more"
        )

    def sentence(self) -> str:
        """Returns what the end of training says; "" where no step was skipped."""
        if not self.total:
            return ""
        what = "1 step was skipped as an outlier"
        if self.total > 1:
            what = f"{self.total} steps were skipped as outliers"
        return f"{what} (skip_outliers) and changed no weight."
