"""Generates texts for a request, with step graphs sized to the texts."""

from collections.abc import Iterator
from typing import Any

import mesh_tensorflow as mtf
import seqio
from mesh_tensorflow.transformer import transformer

from primer.common import console
from primer.generation import decode_loop, prompts
from primer.generation.request import Request, encode_prompts, new_sequences
from primer.generation.step_graph import StepGraph
from primer.generation.token_numbers import TokenNumbers
from primer.runtime import mesh

MAX_ROWS = 16  # Sequences at a time.
_LENGTH_STEP = 32  # Lengths are rounded up, so that requests of similar length share a graph.
# A graph serves requests down to half of its rows or length. For smaller ones a new graph pays: it
# takes seconds to build, and the prompts and steps of the larger one would take longer.
_MOST_WASTE = 2


class Generator:
    """Continues prompts with one model and one checkpoint.

    Args:
        model: a Mesh-TF Unitransformer that reads left to right.
        vocabulary: the vocabulary of the model, or `TokenNumbers` for texts of ids.
        length: tokens of the model's window.
        checkpoint: the path of a checkpoint.
        mesh_shape, layout_rules, mesh_devices: as in `utils.run`.

    Attributes:
        vocabulary, length: as given.
    """

    def __init__(
        self,
        model: transformer.Unitransformer,
        vocabulary: seqio.Vocabulary | TokenNumbers,
        length: int,
        checkpoint: str,
        mesh_shape: str | mtf.Shape,
        layout_rules: str | mtf.LayoutRules,
        mesh_devices: list[str] | None,
    ) -> None:
        self._model, self.vocabulary, self.length = model, vocabulary, length
        self._checkpoint = checkpoint
        self._mesh: tuple[Any, Any, Any] = (mesh_shape, layout_rules, mesh_devices)
        self._divisor = mesh.rows_divisor(
            mtf.convert_to_shape(mesh_shape), mtf.convert_to_layout_rules(layout_rules)
        )
        self._graph: StepGraph | None = None

    def generate(
        self, request: Request
    ) -> Iterator[tuple[int, int, decode_loop.DecodedSequence, str]]:
        """Continues the prompts of a request.

        Yields:
            (prompt index, sample index, sequence, piece of text) for each new token; the sequences
            that are decoded together take turns. With the last piece of a sequence its `reason` is
            set.

        Raises:
            UsageError: a prompt is not UTF-8 text, or not of ids where texts are ids.
            RunError: the checkpoint cannot be read.
        """
        encoded = encode_prompts(self.vocabulary, request.prompts)
        endless = prompts.is_endless(self._model)
        if not endless:
            _say_what_does_not_fit(encoded, request.max_tokens, self.length)
        waiting = new_sequences(request, self.vocabulary, encoded)
        for group in _groups(waiting):
            sequences = [sequence for _, _, sequence in group]
            graph = self._graph_for(sequences, request.max_tokens, endless)
            pieces = decode_loop.decode_sequences(
                graph, sequences, request.sampling, request.max_tokens, self.vocabulary
            )
            for index, piece in pieces:
                yield (*group[index], piece)

    def _graph_for(self, sequences, max_tokens, endless):
        """The last graph if the sequences fit it without much waste, else a new one."""
        rounds = -(-len(sequences) // MAX_ROWS)  # Rows without a sequence cost as much as others.
        rows = -(-len(sequences) // (rounds * self._divisor)) * self._divisor
        prompt = max(sequence.prompt_length for sequence in sequences)
        length = prompt_length = self.length
        if not endless:  # Segments of a model with memory may be as long as its rows.
            length = self._rounded(prompt + max_tokens)
            # Texts that grow beyond the length are read again from the middle of the window.
            slides = prompt + max_tokens > self.length
            prompt_length = length if slides else self._rounded(prompt)
        if not self._fits(rows, length, prompt_length):
            self.close()
            self._graph = StepGraph(
                self._model, rows, length, *self._mesh, prompt_length=prompt_length
            )
            self._graph.restore(self._checkpoint)
        return self._graph

    def _rounded(self, tokens):
        return min(-(-tokens // _LENGTH_STEP) * _LENGTH_STEP, self.length)

    def _fits(self, rows, length, prompt_length):
        """Whether the last graph has these rows and lengths, and not many more."""
        graph = self._graph
        return (
            graph is not None
            and rows <= graph.rows <= _MOST_WASTE * rows
            and length <= graph.length <= _MOST_WASTE * length
            and prompt_length <= graph.prompt_length
        )

    def close(self) -> None:
        """Closes the session of the last graph."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None


def _groups(waiting):
    """Splits the texts into groups for one graph each, those of the longest prompts first.

    A group has prompts of similar length: positions after a prompt would be computed for nothing.
    As many texts as fit into one graph at a time are one group, in their order.
    """
    if len(waiting) <= MAX_ROWS:
        return [waiting]
    groups = []
    for one in sorted(waiting, key=lambda one: -one[2].prompt_length):
        longest = groups[-1][0][2].prompt_length if groups else 0
        is_similar = one[2].prompt_length * _MOST_WASTE + _LENGTH_STEP > longest
        if groups and (is_similar or len(groups[-1]) < MAX_ROWS):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _say_what_does_not_fit(encoded, max_tokens, length):
    for ids in encoded:
        dropped = decode_loop.dropped_prompt_tokens(len(ids), length, max_tokens)
        if dropped:
            console.say(
                f"primer: a prompt of {len(ids):,} tokens, and the model reads {length:,} at a "
                f"time: the first {dropped:,} are left out"
            )
    longest = max(map(len, encoded)) + max_tokens
    if longest > length:
        console.say(
            f"primer: texts of up to {longest:,} tokens, and the model reads {length:,} at a "
            f"time: after these, it goes on from the last {length // 2:,}"
        )
