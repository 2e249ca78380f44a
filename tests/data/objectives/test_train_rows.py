"""Segments and positions of training rows, against T5's packing and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from primer.data import tasks  # noqa: F401
from primer.data.objectives import train_rows
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


def test_separate_documents_are_refused_with_t5s_packing(objective):
    objective("lm", "train_rows.separate_documents = True")
    with pytest.raises(UsageError, match="train_rows.separate_documents"):
        fed(1)
