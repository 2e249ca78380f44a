"""The peak of a graph that is built, against what TensorFlow allocates when it runs."""

import pytest
import tensorflow.compat.v1 as tf

from primer.planning.device_program import built_graph, measured_step
from tests.planning.device_program import models
from tests.planning.device_program.test_memory import LENGTH, MICROBATCHES, ROWS

CASES = {
    "plain": (),
    "microbatches": (MICROBATCHES,),
    "layers": ('recompute = "layers"',),
    "blocks in microbatches": ('recompute = "blocks"', MICROBATCHES),
}


def predicted_and_measured(*more):
    """Returns the bytes of a step of a small model: variables, and the peak of all else."""
    models.parse("gpt2", ROWS, LENGTH, "num_layers = 3", "dropout_rate = 0.1", *more)
    run = measured_step._lowered(models.VOCABULARY, "", models.LAYOUT, "train")
    found = built_graph.peak(run.graph.get_operations(), run.lowering.results())
    config = measured_step.one_thread()
    with measured_step._ready_session(run, config) as (session, step):
        stats = measured_step._traced(session, step)
    nodes = [node for device in stats.dev_stats for node in device.node_stats]
    return found, sum(measured_step._variable_bytes(run).values()), measured_step._peak(nodes)


@pytest.fixture(scope="module")
def peaks():
    return {name: predicted_and_measured(*more) for name, more in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_the_peak_is_what_tensorflow_allocates(peaks, name):
    found, variables, most = peaks[name]
    assert sum(found.variables.values()) == pytest.approx(variables, rel=0.01)
    # TensorFlow computes gradients of weights later, and keeps what they read; in loops the order
    # of its executor is not known.
    assert found.temporary == pytest.approx(most, rel=0.1 if name == "plain" else 0.15)


def test_recomputation_lowers_both(peaks):
    for name, less in (("plain", "layers"), ("microbatches", "blocks in microbatches")):
        for number in (lambda peak: peak[0].temporary, lambda peak: peak[2]):
            assert number(peaks[less]) < 0.85 * number(peaks[name])


def test_results_elsewhere_do_not_count():
    with tf.Graph().as_default() as graph:
        with tf.device("/device:GPU:0"):
            x = tf.random_uniform([1000])
        with tf.device("/device:GPU:1"):
            y = tf.random_uniform([3000])
        total = tf.reduce_sum(x) + tf.reduce_sum(y)

        def counts(operation):
            return not operation.device.endswith("GPU:1")

        found = built_graph.peak(graph.get_operations(), [total.op], counts)
    assert 4000 <= found.temporary < 4100
