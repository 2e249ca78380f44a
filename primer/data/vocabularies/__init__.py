"""The vocabularies of tasks: SentencePiece, bytes, words and characters, as gin chooses."""

from primer.data.vocabularies.task_vocabulary import TaskVocabulary

__all__ = ["TaskVocabulary"]
