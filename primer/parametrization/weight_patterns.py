"""Settings that choose weights by regular expressions, which are searched in their names."""

import re
from collections.abc import Collection, Sequence

from primer.common import checks, graph_marks
from primer.errors import UsageError


def compiled(setting: str, texts: Sequence[str]) -> list[re.Pattern]:
    """Returns regular expressions, compiled.

    Raises:
        UsageError: they are no list, as one text alone, of which every letter would be one.
    """
    if not isinstance(texts, (list, tuple)):
        raise UsageError(f"{setting} = {texts!r}: expected a list of regular expressions")
    return [checks.regular_expression(setting, text) for text in texts]


def require_match(setting: str, pattern: re.Pattern, names: Collection[str]) -> None:
    """Raises UsageError if a pattern matches no weight; those of blocks left out are unknown."""
    if graph_marks.leaves_out_blocks():
        return
    if not any(pattern.search(name) for name in names):
        raise UsageError(
            f"{setting}: {pattern.pattern!r} is found in the name of no weight; the names are like "
            f"{', '.join(sorted(names, key=len)[:3])} (`primer check` lists all)"
        )
