"""The task `tiny_shakespeare`: one text, of which the first 90% is trained on.

`--module_import=benchmarks.tiny_shakespeare` registers it. The folder of its two files,
`train.txt` and `validation.txt`, is the value of the variable TINY_SHAKESPEARE.
"""

import functools
import os

import seqio
import tensorflow as tf
from t5.data import preprocessors

from primer.data.document_task import DocumentTask
from primer.data.sources.document_source import DocumentSource
from primer.data.vocabularies import TaskVocabulary

VARIABLE = "TINY_SHAKESPEARE"
SPLITS = ("train", "validation")


def path(split: str) -> str:
    """Returns the file of a split."""
    return os.path.join(os.environ[VARIABLE], f"{split}.txt")


def document(split: str) -> tf.data.Dataset:
    """Returns the one document of a split."""
    return tf.data.Dataset.from_tensors(path(split)).map(lambda p: {"text": tf.io.read_file(p)})


VOCABULARY = TaskVocabulary("characters")

seqio.TaskRegistry.add(
    "tiny_shakespeare",
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
