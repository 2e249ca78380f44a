"""t5 0.9.4: the import of its data sets looks up a metric, and so imports scikit-learn.

The patch lets the metrics that t5 itself names be looked up when they are computed; others are
looked up, and refused, when they are named, as before.
"""

import functools
from collections.abc import Callable
from types import ModuleType

# Named by t5.data.glue_utils while it is imported.
_NAMED_BY_T5 = ("fbeta_score", "matthews_corrcoef")


def patch(metrics: ModuleType) -> None:
    """Patches `t5.evaluation.metrics.sklearn_metrics_wrapper`."""
    metrics.sklearn_metrics_wrapper = _looked_up_late(metrics.sklearn_metrics_wrapper)


def _looked_up_late(stock: Callable) -> Callable:
    @functools.wraps(stock)
    def sklearn_metrics_wrapper(metric_str, *args, **kwargs):
        if metric_str not in _NAMED_BY_T5:
            return stock(metric_str, *args, **kwargs)

        def fn(targets, predictions):
            return stock(metric_str, *args, **kwargs)(targets, predictions)

        return fn

    return sklearn_metrics_wrapper
