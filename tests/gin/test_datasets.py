"""A run that reads rows and builds its graph uses every binding of the data set files."""

import functools

import gin
import pytest

from primer.data import tasks
from primer.evaluation import protocols
from primer.gin_config import config_files, dead_bindings, statements
from primer.planning import run_graph
from tests import slow

GIN = config_files.gin_directory()
pytestmark = pytest.mark.usefixtures("eager")

MODEL = config_files.composition_files("transformer", "relu", "tiny")


def draw_a_row():
    """Yields a row of two splits from the functions that gin binds, called as in `utils.run`."""
    from t5.models import mesh_transformer

    vocabulary = mesh_transformer.get_vocabulary()
    dataset_fn = gin.query_parameter("utils.run.train_dataset_fn").scoped_configurable_fn
    rows = functools.partial(
        dataset_fn,
        sequence_length=gin.query_parameter("utils.run.sequence_length"),
        vocabulary=vocabulary,
    )
    for split in ("train", "validation"):
        yield next(iter(rows(dataset_split=split).as_numpy_iterator()))


# One of each kind: embedded, the user's own, a mixture.
@pytest.mark.parametrize(
    "name", slow.all_but(["sotu", "text", "mixture"], config_files.names_of_kind("datasets"))
)
def test_every_line_of_a_data_set_takes_effect(name, load, tmp_path):
    """Reads a local file for every data set; the settings are used in the same places."""
    path = tmp_path / "some.txt"
    path.write_text("".join(f"Line {number} of a local text.\n" for number in range(100)))
    own_files = [
        f'text_files.glob = "{path}"',
        'text_files.unit = "line"',
        # The mixture includes the task `text`; the rows of a probe are of no other task.
        f'MIXTURE_NAME = "{name if name in ("mixture", *tasks.PROBES) else "text"}"',
        'task_vocabulary.name = "bytes"',
        # Short rows fill the shuffle buffer fast; the batch of every data set is a multiple of 8.
        'utils.run.sequence_length = {"inputs": 1, "targets": 8}',
    ]
    load(["dataset.gin", *MODEL, "objectives/lm.gin"])
    before = dead_bindings.snapshot()
    if name in tasks.PROBES:  # It reads no text; its examples have the length of the rows.
        own_files = [line for line in own_files if not line.startswith(("text_", "task_"))]
        own_files.append(f"{name}.length = 8")
        own_files.append({"mqar": "mqar.pairs = 2", "copying": "copying.tokens = 3"}.get(name, ""))
    load([*MODEL, config_files.gin_file("datasets", name)], ["num_layers = 1", *own_files])
    own = dead_bindings.changed_since(before)
    assert own
    for row in draw_a_row():
        assert row["targets"].shape == (8,) and row["targets"].max() <= 259
    run_graph.build_step(97, "train")
    protocols.configured_protocol()  # Called by evaluations.
    assert dead_bindings.find_dead_bindings(own, declared=statements.declared_slots(GIN)) == []


@pytest.mark.parametrize("name", config_files.names_of_kind("datasets"))
def test_a_data_set_composes_before_and_after_the_model(name, load):
    """Either order of the files gives the same configuration."""
    file = config_files.gin_file("datasets", name)
    snapshots = []
    for files in ([*MODEL, file], [MODEL[0], file, *MODEL[1:]]):
        load(files)
        snapshots.append(dead_bindings.snapshot())
        gin.finalize()
    assert snapshots[0] == snapshots[1]


@pytest.mark.parametrize("name", config_files.names_of_kind("objectives"))
def test_every_line_of_an_objective_takes_effect(name, load, tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("".join(f"Line {number} of a local text.\n" for number in range(400)))
    data = [
        'MIXTURE_NAME = "text"',
        f'text_files.glob = "{path}"',
        'text_files.unit = "line"',
        "text_files.held_out = 0.5",
        'task_vocabulary.name = "bytes"',
        'utils.run.sequence_length = {"inputs": 1, "targets": 16}',
        "utils.run.batch_size = 4",
        f"task_vocabulary.extra_ids = {int(name == 'masked_lm')}",
    ]
    files = [*MODEL, "datasets/gpt_neo_records.gin"]  # With T5's objective.
    load(files, data)
    before = dead_bindings.snapshot()
    load([*files, config_files.gin_file("objectives", name)], data)
    own = dead_bindings.changed_since(before)
    assert own
    for row in draw_a_row():
        assert row["targets"].shape == (16,) and row["targets"].max() <= 259
        assert row["targets_segmentation"].max() == 1
    if name == "masked_lm":  # It is of the model and of evaluation too.
        run_graph.build_step(260, "train")
        protocols.configured_protocol()
    assert dead_bindings.find_dead_bindings(own) == []
