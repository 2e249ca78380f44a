"""The import hook that mends t5 and Mesh-TensorFlow at the moment they are first imported.

t5's console script imports Mesh-TensorFlow before it reads any flag, so a mend cannot wait for
`--module_import`. A `.pth` file of the installed package therefore calls `install()` when an
interpreter of the environment starts. Nothing here is imported that an interpreter does not have
already (`importlib.abc` alone would cost each start tens of milliseconds): hence plain classes.
"""

import sys

# The first of these to be imported makes the mends of TensorFlow's own names necessary.
ROOTS = ("mesh_tensorflow", "gin.tf", "t5")

# These are mended after they have run: module -> function of primer.runtime.patching.
AFTER = {
    "mesh_tensorflow.ops": "after_mesh_ops",
    "mesh_tensorflow.optimize": "after_mesh_optimize",
    "mesh_tensorflow.transformer.attention": "after_mesh_attention",
    "mesh_tensorflow.transformer.transformer": "after_mesh_transformer",
    "mesh_tensorflow.transformer.utils": "after_mesh_utils",
    "t5.models.mesh_transformer_main": "after_mesh_main",
}

TORCH_MODEL = "t5.models.hf_model"


class _MendedLoader:
    """Runs a module with its own loader, then hands it to the mend that belongs to it."""

    def __init__(self, loader, mend_name):
        self._loader = loader
        self._mend_name = mend_name

    def __getattr__(self, name):
        # get_source, get_data, resource readers...: whatever else the module's own loader offers.
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        from primer.runtime import patching

        getattr(patching, self._mend_name)(module)


class _TorchModelLoader:
    """Stands in for t5.models.hf_model where torch is not installed (t5 does not require it)."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from primer.runtime import patching

        patching.fill_torch_model(module)


class Finder:
    """Finds nothing itself: it lets the other finders find, and adds the mends."""

    def __init__(self):
        self._searching = set()
        self._prepared = False

    def find_spec(self, name, path=None, target=None):
        if name in ROOTS:
            self._prepare()
        if name == TORCH_MODEL:
            return self._without_torch()
        if name not in AFTER or name in self._searching:
            return None
        import importlib.util

        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _MendedLoader(spec.loader, AFTER[name])
        return spec

    def _without_torch(self):
        import importlib.machinery
        import importlib.util

        if importlib.util.find_spec("torch") is not None:
            return None
        return importlib.machinery.ModuleSpec(TORCH_MODEL, _TorchModelLoader())

    def _prepare(self):
        if self._prepared:
            return
        self._prepared = True
        from primer.runtime import patching

        patching.before_mesh()


def install():
    """Puts the finder first on `sys.meta_path`, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
