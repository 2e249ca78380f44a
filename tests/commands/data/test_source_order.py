"""`primer data inspect --order`: the shares of files, and the objective that it takes."""

import json

import gin
import pytest
import seqio

from primer.commands.data import inspect, source_order
from primer.data import tasks  # noqa: F401
from primer.data.objectives import row_objectives
from primer.errors import UsageError
from tests.data import parsing


@pytest.fixture
def two_files(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "long.txt").write_text("a long text\n" * 3000)
    (tmp_path / "texts" / "short.txt").write_text("a short text\n" * 1000)
    return tmp_path


def order(folder, *more):
    words = ["--input", folder / "texts" / "*.txt", "--held_out", "0", "--vocabulary", "bytes"]
    words += ["--length", "16", "--order", "--output", folder / "out", *more]
    assert parsing.run("inspect", words) == 0
    return json.loads((folder / "out" / "order.json").read_text())


def test_the_shares_of_files_are_shown(two_files, capfd):
    long, short = order(two_files, "--steps", "10")
    assert long["name"] == str(two_files / "texts" / "long.txt")
    assert long["expected"] == pytest.approx(36_001 / 49_002)
    assert long["drawn"] + short["drawn"] == pytest.approx(1)
    assert abs(long["drawn"] - long["expected"]) < 4 * long["error"]
    said = capfd.readouterr()
    assert "the first 10 steps of 32 rows of 16 tokens" in said.out
    assert " long.txt " in said.out and "73.47%" in said.out
    assert "0 of 2 sources are more than 4 standard errors from their share" in said.err


def test_the_batch_and_the_seed_are_those_of_the_run(two_files, capsys):
    first = order(two_files, "--gin_param", "run_seed.seed = 1")
    assert first == order(two_files, "--gin_param", "run_seed.seed = 1")
    assert first != order(two_files, "--gin_param", "run_seed.seed = 2")
    capsys.readouterr()
    order(two_files, "--gin_file", "datasets/text.gin", "--gin_param", "utils.run.batch_size = 3")
    assert "the first 50 steps of 3 rows of 16 tokens" in capsys.readouterr().out


def test_a_number_of_steps_is_checked(two_files):
    with pytest.raises(UsageError, match="--steps = 0: expected"):
        order(two_files, "--steps", "0")


def test_names_lose_their_common_folder():
    assert source_order._short_names(["/a/b/x.txt", "/a/c/x.txt"]) == ["b/x.txt", "c/x.txt"]
    assert source_order._short_names(["sotu", "text"]) == ["sotu", "text"]
    assert source_order._short_names(["/a/x.txt"]) == ["/a/x.txt"]


@pytest.mark.parametrize(
    "task, expected",
    [("sotu", "lm_documents"), ("lm1b_autoregressive_language_modeling", "select_random_chunk")],
)
def test_the_objective_is_that_of_the_data_set_unless_gin_sets_one(task, expected):
    assert seqio.TaskRegistry.get(task)
    inspect.choose_objective(task)
    assert row_objectives.chosen_preprocessors()[0] == expected
    gin.parse_config("unsupervised.preprocessors = [@chunks]")
    inspect.choose_objective(task)
    assert row_objectives.chosen_preprocessors() == ["chunks"]
