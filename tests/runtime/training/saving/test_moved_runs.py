"""A run that moves from mesh to mesh goes on as the uninterrupted run: same rows, losses, state."""

import re
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from tests import tiny_text
from tests.command_lines import run
from tests.runtime import tiny

MESHES = ("", "batch:2,model:2", "batch:4")
COMMON = (
    "precision.activation_dtype = 'float32'",
    "summaries.every = 1",
    "utils.run.batch_size = 8",
    "utils.run.save_checkpoints_steps = 2",
)
MICROBATCHES = "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"
# The groups of experts are the same on all meshes where they are given.
EXPERTS = ("num_experts = 4", "MixtureOfExperts.group_size = 32")
RUNS = {
    "adamw with averages": (
        ["--gin_file", "optimizers/adamw.gin"],
        [MICROBATCHES, "average_decay = 0.9"],
    ),
    "experts": (["--gin_file", "architectures/switch.gin"], EXPERTS),
    "memory": (
        ["--gin_file", "objectives/lm_stream.gin"],
        ["memory_length = 20", "carry_memory = True", MICROBATCHES],
    ),
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_text.write(tmp_path_factory.mktemp("texts"))


def train(texts, model_dir, name, steps, mesh):
    options, bindings = RUNS[name]
    bindings = [*COMMON, *bindings, f"mesh_shape.shape = '{mesh}'"]
    more = [word for binding in bindings for word in ("--gin_param", binding)]
    words = ("--steps", steps, "--seed", 1, "--schedule", "constant", *options, *more)
    assert run(*tiny_text.train_words(texts, model_dir, *words)) == 0


def losses(model_dir):
    found = tiny.scalars(model_dir)["loss"]
    return [found[step] for step in sorted(found)]


def assert_close(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], rtol=1e-3, atol=1e-3, err_msg=name)


TINY = (
    "dropout_rate = 0.0",
    "summaries.every = 1",
    "utils.run.save_checkpoints_steps = 2",
    "utils.run.layout_rules = 'batch:batch,d_ff:model,heads:model,vocab:model'",
    "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32",
)


def train_tiny(model_dir, steps, mesh):
    more = (f"utils.run.train_steps = {steps}", f"utils.run.mesh_shape = '{mesh}'")
    tiny.run(model_dir, *TINY, *more)


@pytest.fixture(scope="module")
def stays(tmp_path_factory):
    """The directory of an uninterrupted run on one device, in microbatches."""
    directory = tmp_path_factory.mktemp("stays")
    train_tiny(directory, 6, "")
    return directory


@pytest.fixture(scope="module")
def moves(tmp_path_factory):
    """The directory of a run on one device, on 2x2 and on 4x1."""
    directory = tmp_path_factory.mktemp("moves")
    for steps, mesh in ((2, ""), (4, "batch:2,model:2"), (6, "batch:4")):
        train_tiny(directory, steps, mesh)
    return directory


def test_a_moved_run_equals_the_uninterrupted_one(stays, moves):
    np.testing.assert_allclose(losses(moves), losses(stays), rtol=1e-5)
    for step in (2, 4, 6):
        assert_close(tiny.variables(moves, step), tiny.variables(stays, step))


def test_stock_tensorflow_reads_every_tensor_whole(stays, moves):
    for step in (2, 4, 6):
        found = [tf.train.load_checkpoint(f"{d}/model.ckpt-{step}") for d in (stays, moves)]
        shapes = [reader.get_variable_to_shape_map() for reader in found]
        types = [reader.get_variable_to_dtype_map() for reader in found]
        assert shapes[0] == shapes[1] and types[0] == types[1]
        for name, shape in shapes[0].items():
            assert list(found[1].get_tensor(name).shape) == shape


# What says how a session was run. No command resumes from it.
RECORDS = r".*config\.gin|.*\.meta|graph\.pbtxt|train\.log|events.*|in_use\.lock"
WORDS = re.compile(rb"batch:\d|model:\d|layout|mesh_shape|_slice_\d|device:|/job:|task:\d")


def test_what_a_run_resumes_from_has_no_word_of_the_mesh(stays, moves):
    names = {
        p.name for d in (stays, moves) for p in d.iterdir() if not re.fullmatch(RECORDS, p.name)
    }
    assert {"checkpoint", "primer.json", "input.ckpt-4.json", "model.ckpt-4.index"} <= names
    for directory in (stays, moves):
        for name in names:
            assert not WORDS.findall((directory / name).read_bytes()), (directory, name)
    for name in ("checkpoint", "primer.json", "input.ckpt-4.json", "input.ckpt-6.json"):
        assert (stays / name).read_bytes() == (moves / name).read_bytes(), name


def test_a_new_run_begins_with_the_same_values_on_every_mesh(stays, tmp_path):
    train_tiny(tmp_path, 1, "batch:2,model:2")
    tiny.assert_equal_variables(tiny.variables(tmp_path, 0), tiny.variables(stays, 0))


@pytest.mark.parametrize("mesh", ["", "batch:2,model:2"])
def test_a_damaged_file_is_named(moves, tmp_path, capfd, mesh):
    shutil.copytree(moves, tmp_path / "damaged")
    data = tmp_path / "damaged" / "model.ckpt-6.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[100] ^= 255
    data.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        train_tiny(tmp_path / "damaged", 8, mesh)
    assert ended.value.code == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "cannot be read" in line]
    assert f"in {data.name})" in line


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_models_and_optimizers_move(texts, tmp_path, name):
    train(texts, tmp_path / "stays", name, 6, "")
    for steps, mesh in zip((2, 4, 6), MESHES, strict=True):
        train(texts, tmp_path / "moves", name, steps, mesh)
    assert len(losses(tmp_path / "stays")) == 6
    np.testing.assert_allclose(losses(tmp_path / "moves"), losses(tmp_path / "stays"), rtol=1e-5)
    for step in (0, 2, 4, 6):
        moved, stayed = (tiny.variables(tmp_path / n, step) for n in ("moves", "stays"))
        assert_close(moved, stayed)
    assert checkpoint_files.whole_steps(str(tmp_path / "moves")) == [0, 2, 4, 6]
