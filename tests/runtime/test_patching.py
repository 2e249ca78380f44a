"""The lists of patches name modules that exist, and all of them."""

import importlib
import inspect
from pathlib import Path

import pytest

import primer
from primer.runtime import import_hook, patching

RUNTIME = Path(primer.__file__).parent / "runtime"
LISTS = (
    *patching.TENSORFLOW.values(),
    *patching.PATCHES.values(),
    *(patches for _, patches in patching.WITHOUT_PACKAGE.values()),
)
LISTED = sorted({name for patches in LISTS for name in patches})


@pytest.mark.parametrize("name", LISTED)
def test_each_has_the_same_entry_point(name):
    module = importlib.import_module(f"primer.runtime.{name}")
    assert len(inspect.signature(module.patch).parameters) == 1


def test_each_module_of_patches_and_ops_is_listed():
    rooms = ("checkpoints", "fine_tuning", "missing_names", "model", "sharding", "start_up")
    folders = ("patches", *(f"patches.{room}" for room in (*rooms, "training_step")), "ops")
    files = {f"{folder}.{path.stem}" for folder in folders for path in _files(folder)}
    # Patched before there is a module of TensorFlow.
    early = {"patches.onednn", "patches.startup_notices"}
    assert files - early == set(LISTED) - {"engine"}
    assert all(len(set(patches)) == len(patches) for patches in LISTS)


def _files(folder):
    return (
        path
        for path in RUNTIME.joinpath(*folder.split(".")).glob("*.py")
        if path.stem != "__init__"
    )


@pytest.mark.parametrize("name", [*patching.PATCHES, *patching.WITHOUT_PACKAGE])
def test_the_hook_looks_at_each_patched_package(name):
    assert name.partition(".")[0] in import_hook.PACKAGES


def test_patches_are_applied_in_order(monkeypatch):
    applied = []
    for name in ("ops.fused_softmax", "patches.float32_loss"):
        module = importlib.import_module(f"primer.runtime.{name}")
        monkeypatch.setattr(module, "patch", lambda target, name=name: applied.append(name))
    patching.apply(patching, ("patches.float32_loss", "ops.fused_softmax"))
    assert applied == ["patches.float32_loss", "ops.fused_softmax"]
