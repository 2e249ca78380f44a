"""Imports what runs of training import, for plans that other commands make: TensorFlow, its tasks.

Nothing here imports TensorFlow before the function is called.
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
        for name in ["t5_imports", *modules]:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise UsageError(f"--module_import={name}: {error}") from error
        yield
    finally:
        console.discard_startup()
