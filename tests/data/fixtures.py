"""Fixtures of the tests of data: prepared data sets, objectives, and a small text."""

import os

import gin
import pytest

from tests.data import fabricate


@pytest.fixture(scope="module", autouse=True)
def reads(eager):
    """Turns eager execution on: the tests of this folder read data sets."""


@pytest.fixture(scope="module")
def prepared_dir(eager, tmp_path_factory):
    """A folder with lm1b, c4 and pg19 in the format of TensorFlow Datasets."""
    return fabricate.fabricate(tmp_path_factory.mktemp("tfds"))


@pytest.fixture
def tfds_dir(prepared_dir):
    """The same folder, set as by `--t5_tfds_data_dir`."""
    import t5.data

    t5.data.set_tfds_data_dir_override(prepared_dir)
    yield prepared_dir
    t5.data.set_tfds_data_dir_override(None)


@pytest.fixture
def t5_gin():
    """The folder of t5's gin files, added to gin's search path as by t5's main."""
    import t5.models

    folder = os.path.join(os.path.dirname(t5.models.__file__), "gin")
    gin.add_config_file_search_path(folder)
    return folder


@pytest.fixture
def lm_objective(t5_gin):
    """T5's objective: documents are joined and cut into chunks."""
    import t5.data.preprocessors  # noqa: F401  Registers the file's configurables.

    gin.parse_config_file("objectives/lm.gin")


@pytest.fixture
def chunks(lm_objective):
    """A function that returns the first chunks of a task's split, as lists of ids."""
    import seqio

    import primer.data.tasks  # noqa: F401

    def read(task, split="train", length=64, number=20, **options):
        dataset = seqio.get_mixture_or_task(task).get_dataset(
            {"inputs": 1, "targets": length}, split, **options
        )
        examples = list(dataset.take(number).as_numpy_iterator())
        assert all(set(example) == {"targets"} for example in examples)
        return [example["targets"].tolist() for example in examples]

    return read


@pytest.fixture
def lines(tmp_path):
    """Fifty documents of one to sixty bytes; all of them in the training split."""
    texts = [f"{n}:" + "".join(chr(97 + k % 26) for k in range(n * 37 % 60)) for n in range(50)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(texts))
    gin.parse_config(f"""
        text_files.glob = "{path}"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)
    return texts


@pytest.fixture
def two_texts(tmp_path):
    """The folder of two files, a.txt and b.txt, which are the documents of the task `text`."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name} first\n")
    gin.bind_parameter("text_files.glob", f"{tmp_path}/*.txt")
    return tmp_path


@pytest.fixture
def objective(t5_gin, lines):
    """A function that parses an objective's file, and bindings after it."""
    from primer.gin_config import config_files

    gin.add_config_file_search_path(config_files.gin_directory())

    def choose(name, *bindings):
        import t5.models.mesh_transformer  # noqa: F401

        gin.parse_config(
            ['include "dataset.gin"', f'include "objectives/{name}.gin"', 'MIXTURE_NAME = "text"']
        )
        gin.parse_config([*bindings])

    return choose
