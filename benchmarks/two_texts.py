"""The task `two_texts`: one document to train on, another one to validate.

`--module_import=benchmarks.two_texts` registers it. The folder of its two files, `train.txt` and
`validation.txt`, is the value of the variable TWO_TEXTS.
"""

import functools
import os
import pathlib

import seqio
import tensorflow as tf
from t5.data import preprocessors

from primer.data.document_task import DocumentTask
from primer.data.sources.document_source import DocumentSource
from primer.data.vocabularies import TaskVocabulary, characters, vocabulary_file, words

VARIABLE = "TWO_TEXTS"
SPLITS = ("train", "validation")


def path(split: str) -> str:
    """Returns the file of a split."""
    return os.path.join(os.environ[VARIABLE], f"{split}.txt")


def document(split: str) -> tf.data.Dataset:
    """Returns the one document of a split."""
    return tf.data.Dataset.from_tensors(path(split)).map(lambda p: {"text": tf.io.read_file(p)})


def tiny_shakespeare(text: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """Writes Tiny Shakespeare's splits, the first 90% to train, and its characters.

    Returns:
        The gin bindings of the vocabulary. The task reads this folder from now on.
    """
    content = text.read_text(encoding="utf-8")
    cut = int(len(content) * 0.9)
    counts = characters.count_characters([content])
    return _write(folder, content[:cut], content[cut:], "characters", counts, characters.spell)


def wikitext(source: pathlib.Path, folder: pathlib.Path) -> list[str]:
    """Writes WikiText-2's validation file to train on, its test file, and the words of the first.

    Returns:
        As `tiny_shakespeare`.
    """
    train, test = (
        (source / f"wiki.{split}.tokens").read_text(encoding="utf-8") for split in ("valid", "test")
    )
    counts = words.count_words(train.splitlines())
    return _write(folder, train, test, "words", counts, None)


def select(folder: pathlib.Path) -> None:
    """Makes the task read a folder that was written before."""
    os.environ[VARIABLE] = str(folder)


def _write(folder, train, validation, kind, counts, spell):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text(train, encoding="utf-8")
    (folder / "validation.txt").write_text(validation, encoding="utf-8")
    vocabulary = folder / f"{kind}.txt"
    ordered = vocabulary_file.most_frequent(counts)
    spelled = {} if spell is None else {"spell": spell}
    vocabulary.write_bytes(vocabulary_file.format_vocabulary(ordered, counts, **spelled))
    select(folder)
    return [f"task_vocabulary.name = {kind!r}", f"task_vocabulary.model_file = {str(vocabulary)!r}"]


VOCABULARY = TaskVocabulary("characters")

seqio.TaskRegistry.add(
    "two_texts",
    source=DocumentSource(
        document, SPLITS, lambda split: None, files_fn=lambda split: [path(split)]
    ),
    preprocessors=[
        functools.partial(preprocessors.rekey, key_map={"targets": "text"}),
        seqio.preprocessors.tokenize,
        seqio.CacheDatasetPlaceholder(),
        preprocessors.unsupervised,
        seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={
        "inputs": seqio.Feature(VOCABULARY, add_eos=False, required=False),
        "targets": seqio.Feature(VOCABULARY, add_eos=True),
    },
    task_cls=DocumentTask,
)
