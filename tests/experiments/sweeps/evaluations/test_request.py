"""The key `evaluate`: which checkpoints, the words of `primer eval`, and mistakes."""

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps.evaluations import request


def test_checkpoints_that_are_wanted():
    every, everything, last = request.read(
        "s.yaml: evaluate",
        [{"checkpoints": "every 4"}, {"split": "test"}, {"checkpoints": "last", "stride": 3}],
        "/folder",
    )
    steps = [0, 2, 4, 8, 9]
    assert every.wanted(steps, is_done=False) == [4, 8]
    assert every.wanted(steps, is_done=True) == [4, 8, 9]
    assert everything.wanted(steps, is_done=False) == steps
    assert last.wanted(steps, is_done=False) == [] and last.wanted(steps, is_done=True) == [9]
    assert last.wanted([], is_done=True) == [] and request.read("", None, "") == ()


def test_the_words_of_primer_eval():
    (one,) = request.read(
        "evaluate",
        {
            **{"split": "test", "protocol": "sliding", "stride": 64, "task": "sotu"},
            **{"activation_dtype": "bfloat16", "gin_param": "a = 1", "t5_tfds_data_dir": "data"},
        },
        "/folder",
    )
    settings = {"module_import": ["my.layers"], "t5_tfds_data_dir": "/other"}
    assert one.words("runs/a", [20, 3], settings) == [
        "--model_dir=runs/a",
        "--checkpoints=3,20",
        *("--split=test", "--protocol=sliding", "--stride=64", "--activation_dtype=bfloat16"),
        *('--gin_param=MIXTURE_NAME = "sotu"', "--gin_param=a = 1"),
        "--module_import=my.layers",
        "--t5_tfds_data_dir=/folder/data",
    ]
    assert str(one).startswith("test, protocol sliding, stride 64")
    (other,) = request.read("evaluate", {"split": "test"}, "/folder")
    assert other.key != one.key and "--t5_tfds_data_dir=/other" in other.words("a", [1], settings)


def test_the_options_are_those_of_primer_eval():
    import argparse

    from primer.commands import eval as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    known = {action.dest for action in parser._actions}
    assert set(request.OPTIONS) - known == {"task"}


@pytest.mark.parametrize(
    "content, message",
    [
        ("all", "evaluate = 'all': expected options as {checkpoints: all}"),
        ([], "evaluate = []: expected one or more different evaluations"),
        ([{}, {}], "expected one or more different evaluations"),
        ({"splits": "test"}, "unknown option 'splits' of an evaluation; did you mean split?"),
        ({"checkpoints": "every 0"}, "checkpoints = 'every 0': expected all, last, or every N"),
        ({"checkpoints": "latest"}, "expected all, last, or every N (steps)"),
        ({"protocol": "slide"}, "protocol.name = 'slide' (--protocol): expected one of stream"),
        ({"batch_size": 0}, "evaluate.batch_size = 0: expected a whole number of 1 or more"),
        ({"activation_dtype": "float16"}, "activation_dtype = 'float16': expected"),
        ({"gin_param": 3}, "evaluate.gin_param = 3: expected a text, or a list of texts"),
        ({"split": None}, "evaluate.split = None: expected a text"),
        ({"task": "none"}, "none"),
    ],
)
def test_a_mistake_is_one_message(content, message):
    with pytest.raises(UsageError) as refusal:
        request.read("evaluate", content, "/folder")
    assert message in str(refusal.value) and len(str(refusal.value).splitlines()) == 1
