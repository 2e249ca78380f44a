"""The special ids that Primer's own vocabularies share: padding, the end token and unknown."""

import seqio

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2


class SpecialIdsVocabulary(seqio.Vocabulary):
    """A seqio vocabulary whose ids 0, 1 and 2 are padding, the end token and unknown."""

    @property
    def bos_id(self) -> int | None:
        """None: there is no token for the start of a text."""
        return None

    @property
    def eos_id(self) -> int:
        """The id of the end token."""
        return EOS_ID

    @property
    def unk_id(self) -> int:
        """The id of what the vocabulary does not have."""
        return UNK_ID
