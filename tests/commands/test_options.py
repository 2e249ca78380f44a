"""Options that commands share mean the same in each of them."""

import argparse
import importlib

import pytest

from primer import cli
from primer.commands import data, options
from primer.launch.train import ModelChoice

SHARED = ("gin_file", "gin_param", "module_import", "t5_tfds_data_dir", "checkpoint", "seed")
SHARED += ("model", "architecture", "activation", "size", "protocol", "stride", "batch_size")


def module_of(command):
    return f"primer.commands.{cli.MODULES.get(command, command)}"


def declared(command):
    """{option: its action} of a command."""
    parser = argparse.ArgumentParser()
    importlib.import_module(module_of(command)).add_arguments(parser)
    return {
        word.removeprefix("--"): action
        for action in parser._actions
        for word in action.option_strings
    }


@pytest.mark.parametrize("option", SHARED)
def test_an_option_is_of_one_type_in_all_commands(option):
    actions = [found[option] for found in map(declared, cli.COMMANDS) if option in found]
    assert actions
    assert len({(type(action), action.type, action.dest) for action in actions}) == 1


def test_repeatable_options_are_lists_without_a_shared_default():
    parser = argparse.ArgumentParser()
    options.add_gin_param(parser)
    options.add_module_import(parser)
    first = parser.parse_args(["--gin_param", "a = 1", "--gin_param", "b = 2"])
    assert first.gin_param == ["a = 1", "b = 2"] and first.module_import == []
    assert parser.parse_args([]).gin_param == []


@pytest.mark.parametrize("repeatable, expected", [(False, "b"), (True, ["a", "b"])])
def test_a_model_directory_is_one_or_a_list(repeatable, expected):
    parser = argparse.ArgumentParser()
    options.add_trained_model_dir(parser, repeatable)
    parsed = parser.parse_args(["--model_dir", "a", "--model_dir", "b"])
    assert parsed.model_dir == expected


def test_a_model_is_chosen_by_name_or_by_its_parts():
    parser = argparse.ArgumentParser()
    options.add_model(parser)
    words = ["--architecture", "primer", "--size", "tiny"]
    assert options.model_choice(parser.parse_args(words)) == ModelChoice(
        architecture="primer", size="tiny"
    )
    choice = options.model_choice(parser.parse_args(["--model", "small_primer"]))
    assert choice == ModelChoice("small_primer")


def test_the_help_names_the_models_in_a_few_lines():
    parser = argparse.ArgumentParser()
    options.add_model(parser)
    (model,) = [action for action in parser._actions if action.dest == "model"]
    assert "gpt2_{124m," in model.help and "switch_{primer, transformer}" in model.help
    assert len(model.help) < 1000


PATHS = ("model_dir", "output", "input", "data", "gin_file", "files", "prompt_file", "source")
MODULES = [
    *(module_of(name) for name in cli.COMMANDS if name != "data"),
    *(f"primer.commands.data.{module}" for _, module in data.COMMANDS.values()),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_home_directory_is_expanded_in_every_path(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    parser = argparse.ArgumentParser()
    importlib.import_module(name).add_arguments(parser)
    for action in parser._actions:
        if action.dest in PATHS:
            assert action.type is not None, action.dest
            assert action.type("~/a") == "/home/u/a"
