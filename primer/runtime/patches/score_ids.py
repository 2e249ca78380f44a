"""Scores of token ids where stock Mesh-TF (0.1.21) would get strings and stop.

Without a TPU its model function turns the scored targets into text inside the graph, and its own
`score_with_estimator` and `save_scores` then ask these bytes for `.any()` and `.tolist()`. So the
model function is handed a vocabulary that cannot decode in the graph, except for an export, where
text is what a server wants.
"""

import contextlib

_exporting = []


@contextlib.contextmanager
def exporting():
    """Marks that the graph which is being built is for an export."""
    _exporting.append(True)
    try:
        yield
    finally:
        _exporting.pop()


class IdsOnly:
    """A vocabulary that has everything of another but `decode_tf`."""

    def __init__(self, vocabulary):
        self._vocabulary = vocabulary

    def __getattr__(self, name):
        if name == "decode_tf" and not _exporting:
            raise AttributeError(name)
        return getattr(self._vocabulary, name)


def vocabulary_for(settings):
    """The vocabulary, or the pair of them, that the model function of these settings should see."""
    vocabulary = settings["vocabulary"]
    if not settings.get("score_in_predict_mode"):
        return vocabulary
    if isinstance(vocabulary, tuple):
        return tuple(IdsOnly(part) for part in vocabulary)
    return IdsOnly(vocabulary)
