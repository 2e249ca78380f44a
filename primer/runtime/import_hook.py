"""The import hook that patches t5 and Mesh-TensorFlow when they are first imported.

t5's console script imports Mesh-TensorFlow before it reads any flag, so a patch cannot wait for
`--module_import`. A `.pth` file of the installed package therefore calls `install()` when an
interpreter of the environment starts. This module imports only what an interpreter has loaded
already (`importlib.abc` alone would cost each start tens of milliseconds): hence plain classes.
`primer.runtime.patching` has the patches.
"""

import sys

TYPE_CHECKING = False  # As type checkers know it; `typing` is not loaded at the start.
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# TensorFlow is patched before the first of these is imported.
ROOTS = ("mesh_tensorflow", "gin.tf", "t5")
# The packages whose modules are patched after their import.
PACKAGES = ("mesh_tensorflow", "t5")


class _PatchingLoader:
    """Runs a module with its own loader, then applies the patches that belong to it."""

    def __init__(self, loader, patches):
        self._loader = loader
        self._patches = patches

    def __getattr__(self, name):
        # get_source, get_data, resource readers: all other methods of the module's own loader.
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        from primer.runtime import patching

        patching.apply(module, self._patches)


class _FillingLoader:
    """Makes an empty module and applies patches to it."""

    def __init__(self, patches):
        self._patches = patches

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from primer.runtime import patching

        patching.apply(module, self._patches)


class Finder:
    """Lets the other finders find a module, and adds the patches to its loader."""

    def __init__(self) -> None:
        self._searching: set[str] = set()
        self._is_prepared = False

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Returns the spec of a module that is to be patched, or None for all others."""
        if name in ROOTS and not self._is_prepared:
            self._is_prepared = True
            from primer.runtime import patching

            patching.prepare_tensorflow()
        if name.partition(".")[0] not in PACKAGES or name in self._searching:
            return None
        from primer.runtime import patching

        if name in patching.WITHOUT_PACKAGE:
            return self._spec_without_package(name, *patching.WITHOUT_PACKAGE[name])
        if name not in patching.PATCHES:
            return None
        import importlib.util

        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None:
            # Not a subclass of importlib.abc.Loader, whose import costs every start of Python time.
            loader = _PatchingLoader(spec.loader, patching.PATCHES[name])
            spec.loader = loader  # type: ignore[assignment]
        return spec

    def _spec_without_package(self, name, package, patches):
        import importlib.machinery
        import importlib.util

        if importlib.util.find_spec(package) is not None:
            return None
        return importlib.machinery.ModuleSpec(name, _FillingLoader(patches))


def install() -> None:
    """Puts a Finder first on `sys.meta_path`, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
