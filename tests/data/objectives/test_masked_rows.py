"""Rows with masks: of every objective, numbered over epochs, segments of the tokens before."""

import numpy as np
import pytest
import seqio

from primer.data import inspection, tasks  # noqa: F401
from primer.data.objectives import masked_rows, token_masking, train_rows
from tests.data.objectives import helpers

EXTRA = "task_vocabulary.extra_ids = 1"
LENGTHS = {"inputs": 1, "targets": helpers.LENGTH}
MASK = 259


def fed(number, split="train", first=0):
    """Rows as Mesh-TensorFlow gets them."""
    rows = masked_rows.masked_rows(LENGTHS, dataset_split=split)
    return list(rows.skip(first).take(number).as_numpy_iterator())


def without_masks(number):
    return list(train_rows.train_rows(LENGTHS).take(number).as_numpy_iterator())


@pytest.mark.parametrize("name", ["lm_documents", "chunks", "documents_random", "lm"])
def test_rows_of_every_objective_are_masked(objective, name):
    objective(name, EXTRA, "mesh_train_dataset_fn.seed = 3")
    number = 150  # More than an epoch.
    masking = token_masking.of_task(seqio.get_mixture_or_task("text"))
    for place, (row, plain) in enumerate(zip(fed(number), without_masks(number), strict=True)):
        inputs, targets = masking.mask(plain["targets"], 0, place)
        np.testing.assert_array_equal(row["inputs"], inputs)
        np.testing.assert_array_equal(row["targets"], targets)
        # Segments are those of the tokens, though targets are 0 in between.
        for key in ("targets_segmentation", "targets_position"):
            np.testing.assert_array_equal(row[key], plain[key])
        np.testing.assert_array_equal(row["inputs"] != 0, plain["targets"] != 0)


def test_the_objective_has_its_masks_by_the_runs_seed(objective):
    objective("masked_lm", EXTRA, "mesh_train_dataset_fn.seed = 3")
    assert masked_rows.is_chosen()
    first, again = fed(30), fed(30)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])
    objective("masked_lm", "run_seed.seed = 1")
    others = fed(30)
    assert any((a["targets"] != b["targets"]).any() for a, b in zip(first, others, strict=True))


def test_an_epoch_has_other_masks_than_the_one_before(objective, lines):
    objective("chunks", EXTRA, "mesh_train_dataset_fn.shuffle = False")
    rows = sum(-(-(len(line) + 1) // helpers.LENGTH) for line in lines)
    found = fed(2 * rows)
    for first, second in zip(found[:rows], found[rows:], strict=True):
        predicted = [row["targets"] != 0 for row in (first, second)]
        tokens = [
            np.where(p, r["targets"], r["inputs"]) for p, r in zip(predicted, (first, second))
        ]
        np.testing.assert_array_equal(*tokens)
    changed = [(a["targets"] != b["targets"]).any() for a, b in zip(found[:rows], found[rows:])]
    assert np.mean(changed) > 0.5


def test_another_split_comes_once_in_order_with_fixed_masks(objective, tmp_path, lines):
    objective("masked_lm", EXTRA, "text_files.held_out = 0.3", "run_seed.seed = 5")
    rows = fed(10_000, "validation")
    texts = seqio.get_mixture_or_task("text").source.get_dataset("validation", shuffle=False)
    texts = [example["text"].decode() for example in texts.as_numpy_iterator()]
    expected = helpers.cut(helpers.joined(texts))
    assert len(rows) == len(expected) > 5
    for row, ids in zip(rows, expected, strict=True):
        tokens = np.where(row["targets"] != 0, row["targets"], row["inputs"])
        np.testing.assert_array_equal(tokens, ids + [0] * (helpers.LENGTH - len(ids)))
    objective("masked_lm", "run_seed.seed = 6")
    for one, other in zip(rows, fed(10_000, "validation"), strict=True):
        np.testing.assert_array_equal(one["inputs"], other["inputs"])


def test_documents_of_a_row_can_be_segments(objective):
    objective("masked_lm", EXTRA, "train_rows.separate_documents = True")
    assert any(row["targets_segmentation"].max() > 1 for row in fed(20))


def test_inspected_rows_name_what_the_model_reads(objective):
    objective("masked_lm", EXTRA, "masked_lm.mask_rate = 0.5")
    rows = inspection.first_rows("text", "train", helpers.LENGTH, 20)
    marks = [piece for row in rows for piece in row if piece.startswith("[")]
    assert any(piece.endswith("-> <mask>]") for piece in marks)
    assert {len(piece) for piece in marks} >= {len("[a -> <mask>]"), len("[a]")}
    assert "<end>" in [piece for row in rows for piece in row]


def test_inspected_pieces_keep_the_spaces_between_words(tmp_path):
    vocabulary = tasks.seqio.TaskRegistry.get("sotu").output_features["targets"].vocabulary
    text = "The people of the United States"
    ids = np.array([*vocabulary.encode(text), 1])
    inputs, targets = ids.copy(), np.zeros_like(ids)
    for place in (1, 3):
        inputs[place], targets[place] = 2, ids[place]
    targets[4] = ids[4]
    found = inspection.masked_pieces(vocabulary, ids, inputs, targets, mask_id=2)
    assert "".join(found) == "The [people -> <mask>] of [the -> <mask>] [Uni]ted States<end>"
