"""`primer score`: its options in gin; evaluation/scores/test_score_texts.py has its numbers."""

import argparse

import pytest

from primer.commands import score


@pytest.fixture
def bindings(tmp_path):
    """A function (words): the bindings of the engine's command line."""
    (tmp_path / "config.gin").touch()

    def of_words(*words):
        parser = argparse.ArgumentParser()
        score.add_arguments(parser)
        options = parser.parse_args([*words, "--model_dir", str(tmp_path)])
        arguments = score.engine_arguments(options)
        assert "--gin_file=run/score.gin" in arguments
        head = "--gin_param="
        return [word.removeprefix(head) for word in arguments if word.startswith(head)]

    return of_words


def test_options_that_are_not_given_are_left_to_gin(bindings):
    assert bindings() == []


def test_options_are_bindings_and_the_users_own_come_last(bindings):
    words = ["a.txt", "b.txt", "--tokens", "--stride", "8", "--protocol", "sliding"]
    assert bindings(*words, "--gin_param", "protocol.stride = 4") == [
        'score_texts.files = ["a.txt", "b.txt"]',
        "score_texts.tokens = True",
        'protocol.name = "sliding"',
        "protocol.stride = 8",
        "protocol.stride = 4",
    ]


def test_a_split_of_another_task(bindings):
    assert bindings("--split", "test", "--task", "ptb", "--checkpoint", "best") == [
        'score_texts.task = "ptb"',
        'score_texts.split = "test"',
        'score_texts.checkpoint = "best"',
    ]
