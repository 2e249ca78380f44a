"""`primer eval`, with what reading, building and each checkpoint took in a file.

EVAL_TIMES=FILE python benchmarks/timed_eval.py (the words of `primer eval`)
"""

import json
import os
import sys
import time

from primer import cli


def noted(function, name, notes, tokens=lambda result: None):
    """The same function, whose seconds are added to the notes."""

    def call(*args, **kwargs):
        began = time.perf_counter()
        result = function(*args, **kwargs)
        note = {"what": name, "seconds": time.perf_counter() - began, "tokens": tokens(result)}
        notes.append(note)
        return result

    return call


def main():
    from primer.runtime import import_hook

    import_hook.install()
    from primer.evaluation.protocols import Protocol
    from primer.evaluation.scorer import Scorer

    notes = []
    Protocol.read = noted(Protocol.read, "read", notes, lambda text: len(text.ids))
    Protocol.evaluate = noted(Protocol.evaluate, "evaluate", notes, lambda totals: totals.tokens)
    Scorer.__init__ = noted(Scorer.__init__, "build", notes)
    Scorer.nats = noted(Scorer.nats, "score", notes)
    try:
        cli.main(["eval", *sys.argv[1:]])
    finally:
        with open(os.environ["EVAL_TIMES"], "w", encoding="utf-8") as out:
            json.dump(notes, out)


if __name__ == "__main__":
    main()
