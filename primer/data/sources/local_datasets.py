"""Names, sizes, checksums and addresses of the published data sets that are local files.

This module reads no file and does not import TensorFlow. The numbers come from public sources:

- WikiText: sha1 of every file from GluonNLP's loader; the two of WikiText-2's validation and test
  split were compared with the files themselves. Sizes: those two were measured; the raw files of
  WikiText-2 are stated by several projects with their sha256 (10,940,747, 1,146,846 and 1,290,590
  bytes). The other sizes are computed from the `dataset_infos.json` of Hugging Face's loader (whose
  bytes lack line ends and blank lines, and have four more per line); the same computation gives the
  sizes that are known. Those of the training files of WikiText-103 (539,209,157 and 540,568,191)
  are also published elsewhere.
- enwik8: size, md5 and sha1 from http://mattmahoney.net/dc/textdata.html; text8: its md5, ibid.
- PTB: md5 from torchtext and Chainer, sizes from Hugging Face's `dataset_infos.json`.
- LM1B: no public source states sizes or checksums of single files. The checks are the number of
  training files with their total of 4,147,291,308 bytes, and for the test file the 159,658 words
  that Tensor2Tensor's documentation counts in it, including one per line end. Nothing public was
  found about its validation file, so only its name is checked.
"""

import dataclasses

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class LocalFile:
    """One file and its published properties.

    Attributes:
        names: the file's own name, then its common other names.
        bytes: its size; None if no source states it.
        digest: its checksum in hexadecimal; None if no source states it.
        digest_kind: the kind of checksum: "md5", "sha1" or "sha256".
        words: words separated by white space plus one per line end; None if no source states it.
    """

    names: tuple[str, ...]
    bytes: int | None = None
    digest: str | None = None
    digest_kind: str = "sha1"
    words: int | None = None


@dataclasses.dataclass(frozen=True)
class Split:
    """The files of a split, and the share of them that is the split.

    Attributes:
        files: the files whose concatenation is the text.
        part: (from, to) in percent of a file that holds all splits.
        bytes: size of all files together, where only that is known.
    """

    files: tuple[LocalFile, ...]
    part: tuple[int, int] = (0, 100)
    bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class LocalDataset:
    """One published data set.

    Attributes:
        name: the name of its task.
        splits: name -> Split.
        folders: common names of the folder that holds its files.
        unit: the text that evaluation counts: a "line", or the whole "split".
        blocks: the training document: an "article" of WikiText, or a block of at most
            `local_data.block_bytes` that ends at a line end ("line"), or at a line end if one is
            near and otherwise at a word ("bytes").
        url: where to get it.
        vocabulary: the vocabulary that papers use for it.
    """

    name: str
    splits: dict[str, Split]
    folders: tuple[str, ...]
    unit: str
    blocks: str
    url: str
    vocabulary: str


def _wikitext(name, folder, suffix, sizes, digests, vocabulary):
    plain = {"train": "train", "validation": "valid", "test": "test"}
    # The second name is the one that Transformer-XL's getdata.sh gives.
    names = {split: (f"wiki.{stem}.{suffix}", f"{stem}.txt") for split, stem in plain.items()}
    rows = zip(SPLITS, sizes, digests, strict=True)
    return LocalDataset(
        name,
        {split: Split((LocalFile(names[split], size, sha1),)) for split, size, sha1 in rows},
        folders=(folder, f"{folder}-v1", name),
        unit="line",
        blocks="article",
        url=f"https://wikitext.smerity.com/{folder}-v1.zip (CC BY-SA)",
        vocabulary=vocabulary,
    )


def _one_file(name, digest, url):
    file = LocalFile((name,), 100_000_000, digest, "md5")
    parts = {"train": (0, 90), "validation": (90, 95), "test": (95, 100)}
    return LocalDataset(
        name,
        {split: Split((file,), part) for split, part in parts.items()},
        folders=(name,),
        unit="split",
        blocks="bytes",
        url=url,
        vocabulary="bytes",
    )


def _ptb():
    facts = {
        "train": ("train", 5_101_618, "f26c4b92c5fdc7b3f8c7cdcb991d8420"),
        "validation": ("valid", 399_782, "aa0affc06ff7c36e977d7cd49e3839bf"),
        "test": ("test", 449_945, "8b80168b89c18661a38ef683c0dc3721"),
    }
    return LocalDataset(
        "ptb",
        {
            split: Split((LocalFile((f"ptb.{stem}.txt", f"{stem}.txt"), size, md5, "md5"),))
            for split, (stem, size, md5) in facts.items()
        },
        folders=("ptb", "penn", "simple-examples/data"),
        unit="line",
        blocks="line",
        url="http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz (the text is LDC's)",
        vocabulary="words",
    )


def _lm1b():
    training = "training-monolingual.tokenized.shuffled/news.en-{:05}-of-00100"
    held_out = "heldout-monolingual.tokenized.shuffled/news.en.heldout-{:05}-of-00050"
    shards = tuple(LocalFile((training.format(number),)) for number in range(1, 100))
    test = LocalFile((held_out.format(0),), words=159_658)
    archive = "1-billion-word-language-modeling-benchmark-r13output"
    return LocalDataset(
        "lm1b_words",
        {
            "train": Split(shards, bytes=4_147_291_308),
            "validation": Split((LocalFile((held_out.format(1),)),)),
            "test": Split((test,)),
        },
        folders=(archive, archive.removesuffix("-r13output"), "lm1b", "lm1b_words"),
        unit="line",
        blocks="line",
        url=f"http://www.statmt.org/lm-benchmark/{archive}.tar.gz",
        vocabulary="words",
    )


LOCAL_DATASETS = {
    local_set.name: local_set
    for local_set in (
        _wikitext(
            "wikitext103",
            "wikitext-103",
            "tokens",
            (539_209_157, 1_142_309, 1_281_077),
            (
                "b7497e2dfe77e72cfef5e3dbc61b7b53712ac211",
                "c326ac59dc587676d58c422eb8a03e119582f92b",
                "8a5befc548865cec54ed4273cf87dbbad60d1e47",
            ),
            "words",
        ),
        _wikitext(
            "wikitext103_raw",
            "wikitext-103-raw",
            "raw",
            (540_568_191, 1_146_846, 1_290_590),
            (
                "3d06627c15e834408cfee91293f862c11c1cc9ef",
                "db78d4db83700cba1b1bf4a9381087043db2876d",
                "6f1fe2054a940eebfc76b284b09680763b37f5ea",
            ),
            "sotu",
        ),
        _wikitext(
            "wikitext2",
            "wikitext-2",
            "tokens",
            (10_797_148, 1_121_681, 1_256_449),
            (
                "863f29c46ef9d167fff4940ec821195882fe29d1",
                "0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422",
                "c7b8ce0aa086fb34dab808c5c49224211eb2b172",
            ),
            "words",
        ),
        _wikitext(
            "wikitext2_raw",
            "wikitext-2-raw",
            "raw",
            (10_940_747, 1_146_846, 1_290_590),
            (
                "d33faf256327882db0edc7c67cd098d1051a2112",
                "db78d4db83700cba1b1bf4a9381087043db2876d",
                "6f1fe2054a940eebfc76b284b09680763b37f5ea",
            ),
            "sotu",
        ),
        _one_file(
            "enwik8",
            "a1fa5ffddb56f4953e226637dabbb36a",
            "http://mattmahoney.net/dc/enwik8.zip",
        ),
        _one_file(
            "text8",
            "3bea1919949baf155f99411df5fada7e",
            "http://mattmahoney.net/dc/text8.zip, or from enwik9 by `primer data text8`",
        ),
        _ptb(),
        _lm1b(),
    )
}
