"""The import hook: cheap to install, and the packages that it patches can be imported."""

import importlib
import importlib.util
import subprocess
import sys

import pytest

from primer.runtime import import_hook
from tests.paths import ROOT


def bare_python(code):
    """Runs code without site-packages: no .pth file of another package is read."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_installing_imports_no_tensorflow_and_nothing_else_of_primer():
    imported = bare_python(
        "import primer.runtime.import_hook as h; h.install();"
        "print(sorted(name for name in sys.modules if name.startswith('primer')))"
    )
    assert imported == "['primer', 'primer.runtime', 'primer.runtime.import_hook']"
    bare_python("import primer.runtime.import_hook; assert 'tensorflow' not in sys.modules")


def test_installing_twice_adds_one_finder():
    import_hook.install()
    import_hook.install()
    assert sum(isinstance(finder, import_hook.Finder) for finder in sys.meta_path) == 1


def test_t5_and_mesh_tensorflow_import():
    for name in ("mesh_tensorflow", "gin.tf", "t5.models.mesh_transformer_main"):
        importlib.import_module(name)


def test_modules_without_a_patch_are_left_to_other_finders():
    finder = import_hook.Finder()
    for name in ("json", "mesh_tensorflow.placement_mesh_impl", "t5.data"):
        assert finder.find_spec(name) is None


def test_a_patched_module_keeps_the_methods_of_its_loader():
    spec = import_hook.Finder().find_spec("mesh_tensorflow.optimize")
    assert "class AdafactorOptimizer" in spec.loader.get_source("mesh_tensorflow.optimize")


def test_without_torch_only_the_torch_model_is_missing():
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    models = importlib.import_module("t5.models")
    with pytest.raises(ImportError, match="pip install torch"):
        models.HfPyTorchModel("t5-small")
