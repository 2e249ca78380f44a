"""Runs `primer eval` and writes the times of reading, building and each checkpoint to a file.

EVAL_TIMES=FILE python benchmarks/timed_eval.py (the arguments of `primer eval`)
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from primer import cli


def timed(
    function: Callable[..., Any],
    name: str,
    notes: list[dict[str, Any]],
    tokens: Callable[[Any], int | None] = lambda result: None,
) -> Callable[..., Any]:
    """Wraps a function so that each call adds {"what", "seconds", "tokens"} to the notes.

    Args:
        function: the function.
        name: its name in the notes.
        notes: the list that is extended.
        tokens: returns the tokens of a result.
    """

    def call(*args, **kwargs):
        began = time.perf_counter()
        result = function(*args, **kwargs)
        note = {"what": name, "seconds": time.perf_counter() - began, "tokens": tokens(result)}
        notes.append(note)
        return result

    return call


def main() -> None:
    """Runs the command."""
    from primer.runtime import import_hook

    import_hook.install()
    from primer.evaluation.protocols import Protocol
    from primer.evaluation.scorer import Scorer

    notes: list[dict[str, Any]] = []
    Protocol.read_split = timed(Protocol.read_split, "read", notes, lambda text: len(text.ids))
    Protocol.evaluate = timed(Protocol.evaluate, "evaluate", notes, lambda totals: totals.tokens)
    Scorer.__init__ = timed(Scorer.__init__, "build", notes)
    Scorer.nats = timed(Scorer.nats, "score", notes)
    try:
        cli.main(["eval", *sys.argv[1:]])
    finally:
        with open(os.environ["EVAL_TIMES"], "w", encoding="utf-8") as out:
            json.dump(notes, out)


if __name__ == "__main__":
    main()
