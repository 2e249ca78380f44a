"""What a run that does not fit is told: changes that do, each one planned."""

import re

import mesh_tensorflow as mtf
import pytest

from primer.planning import run_memory
from primer.planning.run_graph import SizedVocabulary
from tests.planning.device_program import models

SETTINGS = {"vocabulary": SizedVocabulary(models.VOCABULARY), "mesh_shape": mtf.Shape([])}
ROWS = 'utils.run.batch_size = ("sequences_per_batch", 8)'
LENGTH = 'utils.run.sequence_length = {"inputs": 64, "targets": 64}'


def changes(available, *more):
    models.parse("gpt2", ROWS, LENGTH, "num_layers = 3", *more)
    return run_memory.RunMemory().changes(SETTINGS, available)


def sizes(text):
    """Returns the peaks in the text in MiB."""
    units = {"MiB": 1, "KiB": 1 / 1024, "GiB": 1024}
    return [float(n) * units[unit] for n, unit in re.findall(r"\(([\d.]+) (.iB)\)", text)]


@pytest.mark.slow
def test_changes_that_fit_are_named_with_their_settings_and_peaks(capsys):
    text = changes(5 * 2**20)
    assert text.startswith("By their plans, this fits: ")
    assert "recomputation and microbatches of one row: " in text
    assert "--gin_param 'recompute = \"layers\"'" in text
    assert "serialize_num_microbatches.tokens_per_microbatch_per_replica = 64" in text
    assert sizes(text) and max(sizes(text)) <= 5
    assert "planning recomputation\n" in capsys.readouterr().err


@pytest.mark.slow
def test_where_nothing_fits_the_least_is_named():
    text = changes(2**16, "serialize_num_microbatches.tokens_per_microbatch_per_replica = 64")
    assert text.startswith("None of the changes that were planned fits; ")
    assert "needs the least, " in text


@pytest.mark.slow
def test_without_a_limit_what_needs_less_is_named():
    text = changes(None)
    assert text.startswith("By their plans, this needs less: ")
    assert len(sizes(text)) >= 3


def test_models_that_no_plan_can_build_get_general_advice():
    models.parse("gpt2", 'run.model_type = "bitransformer"')
    assert run_memory.RunMemory().changes(SETTINGS, 1) == "Set smaller microbatches or batches."
