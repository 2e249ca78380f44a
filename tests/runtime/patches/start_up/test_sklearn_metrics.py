"""Metrics of scikit-learn that t5 names while it is imported."""

import pytest

import primer.runtime.engine  # noqa: F401  Installs the patches.


def test_a_metric_that_t5_names_is_that_of_scikit_learn():
    from t5.evaluation import metrics

    metric = metrics.sklearn_metrics_wrapper("fbeta_score", metric_dict_str="f1", beta=1)
    assert metric([1, 0, 1, 1], [1, 0, 0, 1]) == {"f1": pytest.approx(0.8)}


def test_an_unknown_metric_is_refused_when_it_is_named():
    from t5.evaluation import metrics

    with pytest.raises(ValueError, match="does not have: no_metric"):
        metrics.sklearn_metrics_wrapper("no_metric")
