"""Token ids without texts: the vocabulary of data that were tokenized elsewhere, or never texts."""

from typing import NamedTuple

import seqio

from primer.data.vocabularies.task_vocabulary import TaskVocabulary


class Ids(NamedTuple):
    """Ids without texts.

    Attributes:
        size: their number, with id 0 for padding.
        eos_id: the one that ends a document.
        name: a text that is equal for equal ids, as "50257, end 50256".
    """

    size: int
    eos_id: int
    name: str


class IdVocabulary(TaskVocabulary):
    """The vocabulary that gin chooses for a task, unless the task's own settings give ids alone.

    Args:
        default: as for `TaskVocabulary`.
    """

    def ids(self) -> Ids | None:
        """Returns the ids, or None where they are those of `task_vocabulary`."""
        raise NotImplementedError

    def choice(self) -> tuple[str, str | None, int]:
        """Returns what decides the vocabulary, as in `TaskVocabulary`."""
        ids = self.ids()
        return super().choice() if ids is None else ("ids", ids.name, 0)

    def resolve(self) -> seqio.Vocabulary:
        """Returns the vocabulary itself, as `TaskVocabulary.resolve`; it is not cached."""
        ids = self.ids()
        if ids is None:
            return super().resolve()
        return seqio.PassThroughVocabulary(ids.size, eos_id=ids.eos_id)

    def identity(self) -> str:
        """Returns a text that is equal for equal vocabularies, as in `TaskVocabulary`."""
        ids = self.ids()
        return super().identity() if ids is None else f"ids, {ids.name}"

    def setting(self) -> dict:
        """Returns the settings in a form that can be stored, as in `TaskVocabulary`."""
        ids = self.ids()
        if ids is None:
            return super().setting()
        return {"name": f"ids, {ids.name}", "model_file": None, "extra_ids": 0}

    def file(self) -> tuple[str, bytes] | None:
        """Returns the vocabulary's file, as in `TaskVocabulary`; ids have none."""
        return super().file() if self.ids() is None else None
