"""A model that writes: step graphs sized to the texts, and the texts that they give."""

import mesh_tensorflow as mtf

from primer.common import console
from primer.generation import decode_loop, request
from primer.generation.step_graph import StepGraph
from primer.runtime import mesh

ROWS = 16  # Texts at a time.
_STEP = 32  # Lengths are rounded up, so that requests of about one length share a graph.


class Writer:
    """Continues prompts with one model and one checkpoint.

    Args:
        model: a Mesh-TF Unitransformer.
        vocabulary: its seqio vocabulary.
        length: the longest text that the model is made for, in tokens.
        checkpoint: the path of a checkpoint.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.
    """

    def __init__(self, model, vocabulary, length, checkpoint, mesh_shape, layout_rules, devices):
        self._model, self.vocabulary, self.length = model, vocabulary, length
        self._checkpoint = checkpoint
        self._mesh = (mesh_shape, layout_rules, devices)
        self._divisor = mesh.rows_divisor(
            mtf.convert_to_shape(mesh_shape), mtf.convert_to_layout_rules(layout_rules)
        )
        self._graph = None

    def write(self, asked):
        """Continues the prompts of a Request.

        Yields:
            (prompt index, sample index, Text, piece of text): pieces as they come, texts of a batch
            by turns. After the last piece of a text its `reason` is set.

        Raises:
            UsageError: a prompt is no text.
            RunError: the checkpoint cannot be read.
        """
        encoded = request.encode(self.vocabulary, asked.prompts)
        _say_what_does_not_fit(encoded, asked.max_tokens, self.length)
        waiting = request.texts(asked, self.vocabulary, encoded)
        length = self._length_for(max(map(len, encoded)) + asked.max_tokens)
        graph = self._graph_for(min(len(waiting), ROWS), length)
        for start in range(0, len(waiting), graph.rows):
            batch = waiting[start : start + graph.rows]
            pieces = decode_loop.continue_texts(
                graph, [t for _, _, t in batch], asked.sampling, asked.max_tokens, self.vocabulary
            )
            for index, piece in pieces:
                yield (*batch[index], piece)

    def _length_for(self, tokens):
        return min(-(-tokens // _STEP) * _STEP, self.length)

    def _graph_for(self, rows, length):
        """The graph at hand where it has room enough, else a new one."""
        rows = -(-rows // self._divisor) * self._divisor
        kept = self._graph
        if kept is None or kept.rows != rows or kept.length != length:
            self.close()
            self._graph = StepGraph(self._model, rows, length, *self._mesh)
            self._graph.restore(self._checkpoint)
        return self._graph

    def close(self):
        """Frees the session."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def _say_what_does_not_fit(encoded, max_tokens, length):
    for ids in encoded:
        left_out = decode_loop.first_of_window(len(ids), length, max_tokens)
        if left_out:
            console.say(
                f"primer: a prompt of {len(ids):,} tokens, and the model reads {length:,} at a "
                f"time: the first {left_out:,} are left out"
            )
    longest = max(map(len, encoded)) + max_tokens
    if longest > length:
        console.say(
            f"primer: texts of up to {longest:,} tokens, and the model reads {length:,} at a "
            f"time: behind that, it goes on from the last {length // 2:,}"
        )
