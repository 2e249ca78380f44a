"""`primer data vocabulary`: builds a vocabulary from the training split of a task."""

import argparse
import contextlib
from collections.abc import Iterable, Iterator

from primer.commands.data import text_options
from primer.common import checks, user_paths
from primer.errors import UsageError

SENTENCEPIECE = ("unigram", "bpe")
BYTE_BPE = "byte_bpe"
TRAINED = (*SENTENCEPIECE, BYTE_BPE)
MODELS = (*TRAINED, "words", "characters")
# --model -> task_vocabulary.name
NAMES = {**dict.fromkeys(SENTENCEPIECE, "sentencepiece"), BYTE_BPE: "huggingface"}
SIZE = 8192
MEASURED_BYTES = 4_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    text_options.add_arguments(parser)
    parser.add_argument("--output", type=user_paths.expand, required=True, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--model",
        "--kind",
        choices=MODELS,
        default="unigram",
        help="the kind (default: unigram). SentencePiece writes unigram and bpe; byte_bpe is the "
        "byte-level BPE of GPT-2, as a tokenizer.json of Hugging Face",
    )
    parser.add_argument(
        "--size",
        type=int,
        help=f"total number of ids (default: {SIZE}; all words or characters)",
    )
    parser.add_argument(
        "--min_count", type=int, help="words, characters: leave out rarer entries (1)"
    )
    parser.add_argument(
        "--no_byte_fallback",
        action="store_true",
        help="unigram, bpe: characters without a piece are unknown, instead of being encoded as "
        "their bytes, which is lossless but takes 256 ids",
    )
    parser.add_argument(
        "--character_coverage",
        type=float,
        help="unigram, bpe: the share of the text's characters that get pieces (0.9995)",
    )
    parser.add_argument(
        "--sample_megabytes",
        type=int,
        help="unigram, bpe, byte_bpe: maximum size of the text to train on; a larger text is "
        "sampled (100)",
    )


def run(options: argparse.Namespace) -> int:
    """Builds the vocabulary, writes it and describes it; returns the exit code."""
    _check(options)
    from primer.common import console

    try:
        with text_options.configured_task(options) as task:
            _build(options, task)
    finally:
        console.discard_startup()
    return 0


def _check(options):
    """Raises UsageError for invalid options, before anything is read."""
    is_sentencepiece = options.model in SENTENCEPIECE
    allowed = {
        "min_count": options.model not in TRAINED,
        "no_byte_fallback": is_sentencepiece,
        "character_coverage": is_sentencepiece,
        "sample_megabytes": options.model in TRAINED,
    }
    for name, is_allowed in allowed.items():
        value = getattr(options, name)
        if value not in (None, False) and not is_allowed:
            raise UsageError(f"--{name} has no effect with --model {options.model}; leave it out")
    for name, least in (("size", 4), ("min_count", 1), ("sample_megabytes", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}; expected {least} or more")
    coverage = options.character_coverage
    if coverage is not None and not 0.98 <= coverage <= 1:
        raise UsageError(f"--character_coverage is {coverage}; expected 0.98 to 1")
    checks.output_file(options.output, "--output", options.overwrite)
    if options.model == BYTE_BPE:
        if not options.output.endswith(".json"):
            raise UsageError(
                f"--output is {options.output}; expected a name that ends in .json, as "
                f"tokenizer.json, with --model {BYTE_BPE}"
            )
        from primer.data.vocabularies import huggingface

        huggingface.require_package()


def _build(options, task):
    from primer.common import console, files
    from primer.data import whole_documents
    from primer.data.vocabulary_training import build, raw_texts

    raw_texts.check_split(task, "train", options.t5_tfds_data_dir)
    inputs = whole_documents.input_files(task)
    checks.output_file(options.output, "--output", options.overwrite, inputs)
    built = build.build_vocabulary(
        _counted(raw_texts.split_texts(task, "train"), f"reading {task}, split train"),
        options.model,
        size=options.size or (SIZE if options.model in TRAINED else None),
        min_count=options.min_count or 1,
        byte_fallback=not options.no_byte_fallback,
        character_coverage=options.character_coverage,
        sample_bytes=(options.sample_megabytes or 100) * 1_000_000,
        say=console.say,
    )
    files.write_output(options.output, built.content)
    name = NAMES.get(options.model, options.model)
    print(f"{options.output}: {built.description}, {len(built.content):,} bytes")
    print(f"sha256 {built.sha256}")
    print(f"made from {built.source} of the split train of {task}")
    print(_measure(options, task, name))
    path = user_paths.absolute(options.output)
    print(
        f"--gin_param=\"task_vocabulary.name = '{name}'\" \\\n"
        f"--gin_param=\"task_vocabulary.model_file = '{path}'\""
    )


def _counted(texts: Iterable[bytes], label: str) -> Iterator[bytes]:
    """Yields the same texts while a progress line counts them."""
    from primer.commands.data.read_progress import ReadProgress

    with ReadProgress(label) as progress:
        yield from progress.count(texts)


def _measure(options, task, name) -> str:
    """Measures the vocabulary on the validation split, or on the training split without one."""
    from primer.data.vocabularies import loading
    from primer.data.vocabulary_training import build, raw_texts

    vocabulary = loading.open_vocabulary(name, options.output, 0).vocabulary
    has_validation = all("validation" in part.splits for part in raw_texts.subtasks(task))
    texts = []
    with contextlib.suppress(UsageError):  # The files of the validation split may be missing.
        if has_validation:
            validation = raw_texts.split_texts(task, "validation")
            texts = build.first_texts(validation, MEASURED_BYTES)
    place = "held-out text (split validation)" if texts else "the text it was made from"
    if not texts:
        texts = build.first_texts(raw_texts.split_texts(task, "train"), MEASURED_BYTES)
    size = sum(map(len, texts)) / 1e6
    return f"on {size:,.2f} MB of {place}: {build.describe_encoding(vocabulary, texts)}"
