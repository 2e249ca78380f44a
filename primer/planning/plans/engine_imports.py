"""Imports what runs of training import, for commands that run none: TensorFlow, Primer's tasks.

Nothing here imports TensorFlow before a function is called.
"""

import contextlib
import importlib
from collections.abc import Iterable, Iterator

from primer.common import console
from primer.errors import UsageError


@contextlib.contextmanager
def imported(modules: Iterable[str] = ()) -> Iterator[None]:
    """Imports the engine's modules; inside the block TensorFlow's own messages are discarded.

    Args:
        modules: the values of `--module_import`, besides Primer's own.

    Raises:
        UsageError: a module cannot be imported.
    """
    from primer.runtime import import_hook

    console.capture_startup()
    import_hook.install()
    try:
        import_modules(["t5_imports", *modules])
        yield
    finally:
        console.discard_startup()


def import_modules(names: Iterable[str]) -> None:
    """Imports the modules of --module_import, which register what gin files and options name.

    Raises:
        UsageError: a module cannot be imported.
    """
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--module_import={name}: {error}") from error
