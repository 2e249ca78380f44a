"""seqio's folders of prepared data, named for a test and forgotten after it."""

import contextlib

import seqio


@contextlib.contextmanager
def named(task, *folders):
    """Inside the block, the task of that name is looked for in these folders and no others."""
    before = list(seqio.utils.get_global_cache_dirs())
    _set(task, folders)
    try:
        yield
    finally:
        _set(task, before)


def _set(task, folders):
    seqio.utils.set_global_cache_dirs(list(map(str, folders)))
    registered = seqio.TaskRegistry.get(task)
    # seqio keeps on a task what it once found; both belong to the folder.
    registered._cache_dir, registered._stats = None, {}
