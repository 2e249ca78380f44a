"""The import hook and each mend: that it mends, and that it does nothing where not needed."""

import importlib
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from primer.runtime import import_hook, patching
from primer.runtime.patches import estimator_stub
from tests.paths import ROOT


def python(code, *flags):
    result = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result


def test_the_hook_imports_no_tensorflow_and_little_else():
    code = (
        "import sys; import primer.runtime.import_hook as h; h.install();"
        "print(sorted(name for name in sys.modules if name.startswith('primer')))"
    )
    # -S: no other package's .pth file has its say.
    found = python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}", "-S").stdout.strip()
    assert found == "['primer', 'primer.runtime', 'primer.runtime.import_hook']"
    loaded = "import sys, primer.runtime.import_hook; assert 'tensorflow' not in sys.modules"
    python(f"import sys; sys.path.insert(0, {str(ROOT)!r}); {loaded}", "-S")


def test_installing_twice_adds_one_finder():
    import_hook.install()
    import_hook.install()
    assert sum(isinstance(finder, import_hook.Finder) for finder in sys.meta_path) == 1


def test_t5_and_mesh_tensorflow_import():
    for name in ("mesh_tensorflow", "gin.tf", "t5.models.mesh_transformer_main"):
        importlib.import_module(name)


def test_without_torch_only_the_torch_model_is_missing():
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    models = importlib.import_module("t5.models")
    with pytest.raises(ImportError, match="pip install torch"):
        models.HfPyTorchModel("t5-small")


def test_restore_tensor_conversion_leaves_an_existing_name_alone(monkeypatch):
    from tensorflow.python.framework import ops

    mine = object()
    monkeypatch.setattr(ops, "register_tensor_conversion_function", mine, raising=False)
    patching.restore_tensor_conversion()
    assert ops.register_tensor_conversion_function is mine


def test_the_estimator_of_an_old_tensorflow_is_left_alone():
    patching.stand_in_for_estimator()
    stands_in = tf.compat.v1.estimator.ModeKeys is estimator_stub.ModeKeys
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    assert stands_in is (version >= (2, 16))


def test_the_standin_has_the_modes_of_the_estimator():
    modes = estimator_stub.ModeKeys
    assert (modes.TRAIN, modes.EVAL, modes.PREDICT) == ("train", "eval", "infer")


def test_a_tpu_without_the_estimator_says_what_to_install():
    with pytest.raises(ImportError, match=r"\[tpu\]"):
        estimator_stub.TPUEstimator(model_fn=None)


def test_input_pipeline_hook_is_there():
    assert hasattr(tf.compat.v1.data.experimental, "CheckpointInputPipelineHook")


def test_fill_torch_model_raises_only_on_use():
    module = types.ModuleType("stub")
    patching.fill_torch_model(module)
    with pytest.raises(ImportError):
        module.HfPyTorchModel()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--verbosity=1"], True),
        (["-v=1"], True),
        (["--verbosity", "2"], True),
        (["--verbosity=0"], False),
        (["--gin_param=x = 1"], False),
    ],
)
def test_verbosity_is_seen_before_absl_reads_it(arguments, expected):
    assert patching._asks_for_everything(arguments) is expected
