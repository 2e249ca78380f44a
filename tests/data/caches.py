"""Sets seqio's folders of prepared data for a test."""

import contextlib

import seqio


@contextlib.contextmanager
def named(task, *folders):
    """Makes these folders the only ones in which the block finds the task's prepared data."""
    before = list(seqio.utils.get_global_cache_dirs())
    _set(task, folders)
    try:
        yield
    finally:
        _set(task, before)


def _set(task, folders):
    seqio.utils.set_global_cache_dirs(list(map(str, folders)))
    registered = seqio.TaskRegistry.get(task)
    # seqio caches both on the task; they depend on the folders.
    registered._cache_dir, registered._stats = None, {}
