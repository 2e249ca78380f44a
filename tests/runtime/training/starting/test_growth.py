"""Longer tables keep the checkpoint's rows, on one device and on a mesh of two."""

import numpy as np
import pytest

from primer.runtime.training.starting import growth
from tests.evaluation import small_checkpoints
from tests.runtime import tiny

# Rows of the vocabulary and of positions are split over the two devices.
MESH = (
    "utils.run.mesh_shape = 'model:2'",
    "utils.run.mesh_devices = ['', '']",
    "utils.run.layout_rules = 'vocab:model,max_length:model,d_ff:model'",
)
LEARNED = ("Unitransformer.positional_embedding = True", "Unitransformer.max_length = 48")


def test_rows_are_kept_and_others_are_their_mean():
    old = np.arange(12.0, dtype=np.float32).reshape(2, 6)
    how = growth.of_weight((1, growth.VOCABULARY), [2, 6], [2, 8], 5, "mean")
    value = how.value(old, np.zeros([2, 8], np.float32))
    np.testing.assert_array_equal(value[:, :5], old[:, :5])
    np.testing.assert_array_equal(value[:, 5:], old[:, :5].mean(1, keepdims=True).repeat(3, 1))
    how = growth.of_weight((0, growth.POSITIONS), [2, 6], [3, 6], 5, "mean")
    value = how.value(old, np.full([3, 6], 7, np.float32))
    np.testing.assert_array_equal(value, [*old, [7] * 6])


@pytest.mark.parametrize("old, new", [([4, 6], [2, 6]), ([2, 6], [4, 8]), ([2], [2, 6])])
def test_no_other_dimension_grows_and_none_shrinks(old, new):
    assert growth.of_weight((0, growth.VOCABULARY), old, new, None, "mean") is None


@pytest.mark.parametrize("mesh", [(), MESH], ids=["one_device", "mesh"])
def test_a_run_grows_its_tables(trained, tmp_path, capfd, mesh):
    old = tiny.variables(trained, 6)
    embedding, positions = old["transformer/embedding"], np.ones([32, 16], np.float32)
    # A vocabulary of half as many padded ids, and learned positions.
    smaller = {**old, "transformer/embedding": embedding[:128]}
    smaller["transformer/positional_embedding"] = positions
    path = small_checkpoints.save(tmp_path, 9, smaller)
    settings = (f"utils.run.init_checkpoint = '{path}'", "utils.run.train_steps = 1", *LEARNED)
    with pytest.raises(SystemExit):
        tiny.run(tmp_path / "new", *settings)
    assert "in the checkpoint [128, 16]; transformer/" in (message := capfd.readouterr().err)
    assert "--grow (initial_weights.grow = 'mean') adds the missing rows" in message

    tiny.run(tmp_path / "new", *settings, "initial_weights.grow = 'mean'", *mesh)
    assert "transformer/embedding: 128 rows kept, 256 added as the mean of these" in (
        capfd.readouterr().err
    )
    found = tiny.variables(tmp_path / "new", 0)
    grown = found["transformer/embedding"]
    np.testing.assert_array_equal(grown[:128], embedding[:128])
    mean = embedding[:128].mean(0, dtype=np.float64)
    np.testing.assert_allclose(grown[128:], mean[None].repeat(256, 0), rtol=1e-6, atol=1e-7)
    added = found["transformer/positional_embedding"]
    np.testing.assert_array_equal(added[:32], positions)
    assert added.shape == (48, 16) and added[32:].std() > 0
    for name in old.keys() - {"transformer/embedding", "global_step"}:
        if "slot" not in name:
            np.testing.assert_array_equal(found[name], old[name], err_msg=name)
