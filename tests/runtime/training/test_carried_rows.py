"""Training on rows that continue those of the batch before."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common.recurrence import carried_state
from primer.errors import UsageError
from primer.runtime.training import carried_rows
from tests import gin_models, recorded_runs

LENGTH, ROWS = recorded_runs.LENGTH, recorded_runs.ROWS
# Long enough to see all that went before, so that one long row is the same text.
MEMORY = ("memory_length = 60", "num_layers = 2", "num_dense_blocks = 2")
CARRY = (*MEMORY, "carry_memory = True")
TEXT = np.random.default_rng(3).integers(2, recorded_runs.VOCABULARY, [ROWS, 3 * LENGTH])


def rows(ids=(1, 1, 1)):
    """Returns three batches that cut the columns of TEXT, with a text's number for each."""
    return [
        {
            "targets": part,
            "targets_segmentation": np.full_like(part, number),
            "targets_position": np.tile(np.arange(LENGTH), [ROWS, 1]),
        }
        for number, part in zip(ids, np.split(TEXT, 3, axis=1), strict=True)
    ]


def train(tmp_path, bindings, batches, settings=recorded_runs.SETTINGS):
    """Returns the losses of the batches and the values of the variables after them."""
    files = gin_models.files("primer")
    estimator = recorded_runs.estimator_of(files, [settings, *bindings], tmp_path)
    with tf.Graph().as_default():
        spec, feeds = recorded_runs.training_graph(estimator)
        with recorded_runs.training_session(spec) as session:
            losses = []
            for batch in batches:
                feed = {feeds[name]: value for name, value in batch.items()}
                losses.append(float(session.run([spec.loss, spec.train_op], feed)[0]))
            variables = {v.op.name: v for v in tf.global_variables()}
            return losses, session.raw_session().run(variables)


WITHOUT_LEARNING = recorded_runs.SETTINGS.replace("schedule = 0.02", "schedule = 0.0")


def test_losses_are_those_of_one_long_row(tmp_path):
    assert WITHOUT_LEARNING != recorded_runs.SETTINGS
    losses, _ = train(tmp_path, CARRY, rows(), WITHOUT_LEARNING)
    stateless, _ = train(tmp_path, MEMORY, rows(), WITHOUT_LEARNING)
    whole = long_row(tmp_path)
    np.testing.assert_allclose(np.mean(losses), whole, rtol=1e-5)
    assert losses[0] == pytest.approx(stateless[0], rel=1e-6)
    assert min(abs(a - b) for a, b in zip(losses[1:], stateless[1:], strict=True)) > 1e-4


def long_row(tmp_path):
    """Returns the loss of the columns as rows of three times the length."""
    from tests.layers.recurrence import recurrent_runs

    files = gin_models.files("primer")
    estimator = recorded_runs.estimator_of(files, [WITHOUT_LEARNING, *MEMORY], tmp_path)
    _, variables = train(tmp_path, MEMORY, [], WITHOUT_LEARNING)
    weights = {v: variables[v] for v in variables if v.startswith("transformer/")}
    model = estimator.model
    kept = set(recurrent_weights(model))
    logits, _ = recurrent_runs.at_once(model, {v: weights[v] for v in kept}, TEXT)
    logits = logits.astype(np.float64)
    log_z = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    chosen = np.take_along_axis(logits, TEXT[..., None], -1)[..., 0]
    return np.mean(log_z - chosen + 1e-4 * log_z**2)  # With T5's z-loss.


def recurrent_weights(model):
    from tests.layers import helpers

    return helpers.random_variables(model)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The losses and variables of training in two microbatches on one device."""
    return train(tmp_path_factory.mktemp("expected"), CARRY, rows())


def test_microbatches_give_the_same(expected, tmp_path):
    """Each microbatch has the memory of its rows."""
    whole = recorded_runs.SETTINGS.replace(f"replica = {2 * LENGTH}", f"replica = {ROWS * LENGTH}")
    assert whole != recorded_runs.SETTINGS
    losses, state = train(tmp_path, CARRY, rows(), whole)
    expected, expected_state = expected
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    memory = [name for name in state if carried_state.is_part(name)]
    assert len(memory) == 4  # Two attention layers, the texts, the last tokens.
    for name in memory:
        np.testing.assert_allclose(state[name], expected_state[name], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["recompute", "two devices", "four devices"])
def test_recomputation_and_meshes_give_the_same(expected, tmp_path, setting):
    bindings = {
        "recompute": ["LayerStack.recompute_grads = True"],
        "two devices": [
            'utils.run.mesh_shape = "batch:2"',
            'utils.run.mesh_devices = ["", ""]',
        ],
        "four devices": [
            'utils.run.mesh_shape = "batch:2,model:2"',
            'utils.run.mesh_devices = ["", "", "", ""]',
        ],
    }[setting]
    losses, _ = train(tmp_path, [*CARRY, *bindings], rows())
    np.testing.assert_allclose(losses, expected[0], rtol=2e-5)


def test_another_text_begins_with_an_empty_memory(tmp_path):
    losses, _ = train(tmp_path, CARRY, rows(ids=(1, 2, 3)), WITHOUT_LEARNING)
    alone = [train(tmp_path, CARRY, [row], WITHOUT_LEARNING)[0][0] for row in rows()]
    np.testing.assert_allclose(losses, alone, rtol=1e-5)


def test_memory_of_other_columns_is_refused(tmp_path):
    shapes = {f"{carried_state.SCOPE}/texts": [2, 60]}
    with tf.Graph().as_default(), tf.Session() as session:
        own = [tf.get_variable(name, shape) for name, shape in shapes.items()]
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver(own).save(session, str(tmp_path / "model.ckpt-1"))
    with tf.Graph().as_default():
        name = next(iter(shapes))
        tf.get_variable(name, [4, 60])
        with pytest.raises(UsageError, match=r"memory of other columns: .*\[2, 60\].*\[4, 60\]"):
            carried_rows.check_columns(path, [name])


@pytest.mark.parametrize("bindings, is_refused", [(CARRY, True), (MEMORY, False)])
def test_rows_in_another_order_have_no_memory(bindings, is_refused):
    model = gin_models.build(gin_models.files("primer"), bindings)
    carried_rows.check_input(model, 4)
    if is_refused:
        with pytest.raises(UsageError, match="use objectives/lm_stream.gin"):
            carried_rows.check_input(model, None)
    else:
        carried_rows.check_input(model, None)
