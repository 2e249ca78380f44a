"""A run of training reports settings without effect from its own graph, and changes nothing."""

import gin
import pytest

from primer.gin_config import config_files
from primer.planning import run_graph, run_warnings
from tests import gin_models

FILES = config_files.composition_files("transformer", "relu", "tiny")


def warnings(files, params=(), more_files=()):
    """The lines after the graph of training is built, as in a run."""
    gin_models.parse([*FILES, *files, *more_files], params)
    run_graph.build_step(97, "train")
    before = {key: dict(value) for key, value in gin.config._OPERATIVE_CONFIG.items()}
    found = run_warnings.warning_lines([*FILES, *files, *more_files], params)
    assert gin.config._OPERATIVE_CONFIG == before
    return found


def test_a_setting_without_effect_is_reported_with_file_and_line(write):
    path = write("own.gin", "# Mine.\n\nUnitransformer.layer_stack = @LayerStack\n")
    (line,) = warnings([path])
    assert line.startswith(f"{path}:3: Unitransformer.layer_stack takes no effect: ")


def test_a_setting_that_only_evaluation_reads_is_not_reported(write):
    """The graph of training does not read it; the model of evaluation does."""
    path = write("own.gin", "quiet_in_training.loudness = 2\nUnitransformer.z_loss = 1e-4\n")
    assert warnings([path], ["feed_forward = @QuietInTraining"]) == []


@gin.configurable(module="run_warnings_test")
def quiet_in_training(loudness=1):
    return loudness


@pytest.fixture(scope="module", autouse=True)
def layer_that_reads_in_evaluation():
    from mesh_tensorflow.transformer import transformer_layers

    @gin.configurable(module="run_warnings_test")
    class QuietInTraining(transformer_layers.DenseReluDense):
        def call(self, context, x, losses=None):
            if not context.train:
                quiet_in_training()
            return super().call(context, x, losses)


def test_without_own_settings_there_is_no_line():
    assert warnings([]) == []


def test_an_unread_macro_that_gin_errors_reported_is_not_repeated():
    assert warnings([], ["zzz = 3"]) == []
    (line,) = warnings([], ["zzz = 3", "yyy = %zzz"])
    assert line.startswith("--gin_param: zzz takes no effect: no binding in effect reads")


def test_two_files_of_a_kind_are_reported(write):
    path = write("architectures/z.gin", "norm = @sublayer_rms_norm\n")
    (line,) = warnings([path])
    assert line == (
        f"architectures/transformer.gin and {path} both set `norm`; the later one, z.gin, "
        "is in force"
    )


def test_a_model_that_is_no_language_model_has_no_lines():
    gin_models.parse([], ["utils.run.model_type = 'bitransformer'"])
    assert run_warnings.warning_lines([], ["LocalSelfAttention.dropout_rate = 1.0"]) == []
