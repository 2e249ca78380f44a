"""Segments and positions of training rows, against T5's packing and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from primer.data import tasks  # noqa: F401
from primer.data.objectives import carried_segments, train_rows
from primer.errors import UsageError
from tests.data.objectives import helpers


def fed(number, **bindings):
    """The first rows as Mesh-TensorFlow gets them."""
    dataset = train_rows.train_rows({"inputs": 1, "targets": helpers.LENGTH})
    return list(dataset.take(number).as_numpy_iterator())


def test_a_row_is_one_segment(objective, lines):
    objective("lm_documents", "mesh_train_dataset_fn.shuffle = False")
    expected = helpers.cut(helpers.joined(lines))
    for row, ids in zip(fed(5), expected, strict=False):
        assert row["targets"].tolist() == ids
        assert row["targets_segmentation"].tolist() == [1] * helpers.LENGTH
        assert row["targets_position"].tolist() == list(range(helpers.LENGTH))


def test_documents_of_a_row_can_be_segments(objective, lines):
    objective(
        "lm_documents",
        "mesh_train_dataset_fn.shuffle = False",
        "train_rows.separate_documents = True",
    )
    expected = helpers.cut(helpers.joined(lines))
    for row, ids in zip(fed(30), expected, strict=False):
        segment, position = 1, 0
        for place, token in enumerate(ids):
            assert row["targets"][place] == token
            assert row["targets_segmentation"][place] == segment
            assert row["targets_position"][place] == position
            position += 1
            if token == helpers.EOS:
                segment, position = segment + 1, 0


def test_segments_are_those_of_t5s_packing(eager):
    """Documents that fill a row exactly, packed by Mesh-TensorFlow itself."""
    from mesh_tensorflow.transformer import dataset as transformer_dataset

    documents = [[5, 6, 1], [7, 1], [8, 9, 1]]
    ragged = tf.data.Dataset.from_generator(
        lambda: ({"targets": ids} for ids in documents),
        output_signature={"targets": tf.TensorSpec([None], tf.int32)},
    )
    packed = next(transformer_dataset.pack_dataset(ragged, 10).as_numpy_iterator())
    segments, positions = train_rows.segments_of(tf.constant(packed["targets"]), helpers.EOS)
    np.testing.assert_array_equal(segments, packed["targets_segmentation"])
    np.testing.assert_array_equal(positions, packed["targets_position"])


def test_padding_has_no_segment(objective, lines):
    objective("chunks", "mesh_train_dataset_fn.shuffle = False")
    for row in fed(30):
        is_token = row["targets"] != 0
        np.testing.assert_array_equal(row["targets_segmentation"], is_token)
        np.testing.assert_array_equal(row["targets_position"], np.arange(helpers.LENGTH) * is_token)


def carried(objective, columns, steps, *bindings):
    """The rows of a stream with the passes over the text as segments, [steps, columns] each."""
    objective(
        "lm_stream",
        f"lm_stream.columns = {columns}",
        "mesh_train_dataset_fn.seed = 3",
        "train_rows.carried_segments = True",
        *bindings,
    )
    found = fed(steps * columns)
    return [
        np.array([row[key] for row in found]).reshape(steps, columns, -1)
        for key in ("targets", "targets_segmentation", "targets_position")
    ]


@pytest.mark.parametrize("vary", [False, True])
def test_a_segment_goes_on_from_row_to_row_until_the_pass_ends(objective, lines, vary):
    """Column by column against the joined documents: three columns."""
    bindings = ["mesh_train_dataset_fn.shuffle = False"]
    if vary:
        bindings += ["lm_stream.vary_length = True", "varied_lengths.deviation = 1.0"]
        bindings += ["varied_lengths.shortest = 2"]
    rows = carried(objective, 3, 90, *bindings)
    texts = helpers.stream(3, ids=helpers.joined(lines))
    for column, text in enumerate(texts):
        targets, segments, positions = (part[:, column] for part in rows)
        is_token = targets != 0
        read = targets[is_token]
        assert read.tolist() == text[: len(read)].tolist() and len(read) > len(text) / 3
        assert segments[is_token].tolist() == [
            place // (len(text) // 3) + 1 for place in range(len(read))
        ]
        assert not segments[~is_token].any() and not positions[~is_token].any()
        same = segments[:, 1:] == segments[:, :-1]
        steps = np.where(is_token[:, 1:], np.where(same, positions[:, :-1] + 1, 0), 0)
        assert not positions[:, 0].any() and (positions[:, 1:] == steps).all()
        assert {len(set(row[row > 0])) for row in segments} == {1, 2}
    lengths = (rows[0] != 0).sum(-1)
    assert (lengths == lengths[:, :1]).all() and (len(set(lengths[:, 0])) > 3) == vary


def test_other_settings_do_not_change_the_rows_of_a_stream(objective, lines):
    plain = carried(objective, 2, 60, "train_rows.carried_segments = False")
    passes = carried(objective, 2, 60)
    np.testing.assert_array_equal(plain[0], passes[0])
    assert (plain[1] == 1).all() and (passes[1] > 0).all() and passes[1].max() == 2


def test_the_number_of_a_pass_begins_again_after_many():
    number = carried_segments.PASSES
    segments, positions = carried_segments.segments_of(np.array([number - 1, number, number]), 5)
    assert segments.tolist() == [number, 1, 1, 0, 0]
    assert positions.tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    "name, bindings, message",
    [
        ("lm_documents", [], "carried_segments = True: memory .* \\(lm_documents\\) are shuffled"),
        ("lm_stream", ["train_rows.separate_documents = True"], "separate_documents = True: expec"),
        ("lm_stream", ["train_rows.carried_segments = 1"], "carried_segments = 1: expected True"),
    ],
)
def test_rows_that_do_not_continue_each_other_are_refused(objective, name, bindings, message):
    carry = "train_rows.carried_segments = True"
    objective(name, "lm_stream.columns = 2", carry, *bindings)
    with pytest.raises(UsageError, match=message):
        fed(1)


def test_separate_documents_are_refused_with_t5s_packing(objective):
    objective("lm", "train_rows.separate_documents = True")
    with pytest.raises(UsageError, match="train_rows.separate_documents"):
        fed(1)
