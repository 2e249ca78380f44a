"""Prepared TensorFlow data sets in the exact format of lm1b, c4 and pg19, with other texts.

Features, versions, splits, file names and metadata are those of the published data sets, so that
the tasks read them like the published ones.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

from primer.data.sources import sotu


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A data set: the folder of its files, the key of its text, the examples of each split."""

    folder: str
    text_key: str
    splits: dict[str, int]  # split -> number of examples
    shards: int = 2


LM1B = Prepared("lm1b/1.1.0", "text", {"train": 400, "test": 20})
C4 = Prepared("c4/en/3.0.1", "text", {"train": 60, "validation": 10})
PG19 = Prepared("pg19/0.1.1", "book_text", {"train": 8, "validation": 2, "test": 2}, shards=1)


def features(prepared: Prepared):
    """Returns the features of the published `features.json`."""
    import numpy as np
    import tensorflow_datasets as tfds

    text = tfds.features.Text()
    if prepared is LM1B:
        return tfds.features.FeaturesDict({"text": text})
    if prepared is C4:
        keys = ("text", "url", "content-type", "content-length", "timestamp")
        return tfds.features.FeaturesDict({key: text for key in keys})
    return tfds.features.FeaturesDict(
        {
            "book_text": text,
            "book_id": np.int32,
            "book_title": np.str_,
            "publication_date": np.str_,
            "book_link": np.str_,
        }
    )


def texts(prepared: Prepared, split: str) -> list[str]:
    """Returns the texts of a split: sentences, paragraphs or long documents."""
    kind = {LM1B.folder: _sentences, C4.folder: _paragraphs, PG19.folder: _long_documents}
    source = kind[prepared.folder](sotu.paths("train"))
    skipped = 0
    for name, number in prepared.splits.items():
        if name == split:
            break
        skipped += number
    return [next(source) for _ in range(skipped + number)][skipped:]


def _read(paths) -> Iterator[str]:
    for path in paths:
        yield pathlib.Path(path).read_text(encoding="utf-8")


def _paragraphs(paths) -> Iterator[str]:
    for text in _read(paths):
        yield from (part for part in text.split("\n\n") if len(part) > 200)


def _sentences(paths) -> Iterator[str]:
    """Yields sentences like those of lm1b: tokens separated by spaces."""
    for paragraph in _paragraphs(paths):
        for sentence in re.split(r"(?<=[.?!]) ", paragraph):
            yield re.sub(r"\s*([.,;:?!])", r" \1", sentence)


def _long_documents(paths) -> Iterator[str]:
    for text in _read(paths):
        yield text[:20_000]


def _example(prepared, text, number):
    if prepared is LM1B:
        return {"text": text}
    if prepared is C4:
        return {
            "text": text,
            "url": f"https://example.org/{number}",
            "content-type": "text/plain",
            "content-length": str(len(text)),
            "timestamp": "2019-04-25T12:57:54Z",
        }
    return {
        "book_text": text,
        "book_id": number,
        "book_title": f"Book {number}",
        "publication_date": "1900",
        "book_link": f"https://example.org/{number}",
    }


def fabricate(data_dir, *which: Prepared) -> str:
    """Writes data sets below `data_dir`, by default all three, and returns it as a string."""
    for prepared in which or (LM1B, C4, PG19):
        _write(pathlib.Path(data_dir, prepared.folder), prepared)
    return str(data_dir)


def _write(folder, prepared):
    import tensorflow_datasets as tfds

    folder.mkdir(parents=True)
    name = prepared.folder.split("/")[0]
    template = tfds.core.ShardedFileTemplate(
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        dataset_name=name,
        data_dir=folder,
        filetype_suffix="tfrecord",
    )
    kind = features(prepared)
    infos = [
        _write_split(folder, f"{name}-{split}", split, prepared, kind, template)
        for split in prepared.splits
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder), features=kind, split_infos=infos, filename_template=template
    )


def _write_split(folder, prefix, split, prepared, kind, template):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    records = [
        kind.serialize_example(kind.encode_example(_example(prepared, text, number)))
        for number, text in enumerate(texts(prepared, split))
    ]
    lengths = []
    for shard in range(prepared.shards):
        part = records[shard :: prepared.shards]
        path = folder / f"{prefix}.tfrecord-{shard:05}-of-{prepared.shards:05}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in part:
                writer.write(record)
        lengths.append(len(part))
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=lengths,
        num_bytes=sum(map(len, records)),
        filename_template=template,
    )
