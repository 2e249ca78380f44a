"""`primer data vocabulary`: SentencePiece, words or characters, from a training split alone."""

import contextlib
import os

from primer.commands.data import text_options
from primer.errors import UsageError

SENTENCEPIECE = ("unigram", "bpe")
MODELS = (*SENTENCEPIECE, "words", "characters")
SIZE = 8192
MEASURED_BYTES = 4_000_000


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    text_options.add_arguments(parser)
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    parser.add_argument(
        "--model", choices=MODELS, default="unigram", help="the kind (default: unigram)"
    )
    parser.add_argument(
        "--size",
        type=int,
        help=f"ids in all ({SIZE} for unigram and bpe; all words, all characters)",
    )
    parser.add_argument(
        "--min_count", type=int, help="words, characters: leave out what is rarer (1)"
    )
    parser.add_argument(
        "--no_byte_fallback",
        action="store_true",
        help="unigram, bpe: characters without a piece are unknown, instead of their bytes, which "
        "lose nothing but take 256 ids",
    )
    parser.add_argument(
        "--character_coverage",
        type=float,
        help="unigram, bpe: the share of the text's characters that get pieces (0.9995)",
    )
    parser.add_argument(
        "--sample_megabytes",
        type=int,
        help="unigram, bpe: train on so much of the text, a sample if there is more (100)",
    )


def run(options) -> int:
    """Makes the vocabulary, writes it, and prints what it is."""
    _check(options)
    from primer.common import console

    try:
        with text_options.task_of(options) as task:
            _make(options, task)
    finally:
        console.drop_early()
    return 0


def _check(options):
    """Raises UsageError for options without meaning, before anything is read."""
    pieces = options.model in SENTENCEPIECE
    allowed = {
        "min_count": not pieces,
        "no_byte_fallback": pieces,
        "character_coverage": pieces,
        "sample_megabytes": pieces,
    }
    for name, fits in allowed.items():
        value = getattr(options, name)
        if value not in (None, False) and not fits:
            raise UsageError(f"--{name} has no meaning for --model {options.model}; leave it out")
    for name, least in (("size", 4), ("min_count", 1), ("sample_megabytes", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} is {value}; expected {least} or more")
    coverage = options.character_coverage
    if coverage is not None and not 0.98 <= coverage <= 1:
        raise UsageError(f"--character_coverage is {coverage}; expected 0.98 to 1")
    if os.path.exists(options.output) and not options.overwrite:
        raise UsageError(
            f"--output {options.output} is there already; name another file, or give --overwrite"
        )


def _make(options, task):
    from primer.common import files
    from primer.data.vocabulary_training import build, raw_texts

    raw_texts.check_split(task, "train", options.t5_tfds_data_dir)
    made = build.build_vocabulary(
        _shown(raw_texts.split_texts(task, "train"), f"reading {task}, split train"),
        options.model,
        size=options.size or (SIZE if options.model in SENTENCEPIECE else None),
        min_count=options.min_count or 1,
        byte_fallback=not options.no_byte_fallback,
        character_coverage=options.character_coverage,
        sample_bytes=(options.sample_megabytes or 100) * 1_000_000,
        say=_say,
    )
    files.write_output(options.output, made.content)
    name = "sentencepiece" if options.model in SENTENCEPIECE else options.model
    print(f"{options.output}: {made.description}, {len(made.content):,} bytes")
    print(f"sha256 {made.sha256}")
    print(f"made from {made.source} of the split train of {task}")
    print(_measured(options, task, name))
    path = options.output if "://" in options.output else os.path.abspath(options.output)
    print(
        f"--gin_param=\"task_vocabulary.name = '{name}'\" \\\n"
        f"--gin_param=\"task_vocabulary.model_file = '{path}'\""
    )


def _say(message):
    from primer.common import console

    console.say(message)


def _shown(texts, label):
    from primer.commands.data.read_progress import ReadProgress

    with ReadProgress(label) as shown:
        yield from shown.of(texts)


def _measured(options, task, name) -> str:
    """How the vocabulary does on text that it was not made from, where there is any."""
    from primer.data.vocabularies import loading
    from primer.data.vocabulary_training import build, raw_texts

    vocabulary = loading.open_vocabulary(name, options.output, 0).vocabulary
    held_out = all("validation" in part.splits for part in raw_texts.subtasks(task))
    texts = []
    with contextlib.suppress(UsageError):  # Of C4 somebody may have the training split alone.
        if held_out:
            found = raw_texts.split_texts(task, "validation")
            texts = build.first_texts(found, MEASURED_BYTES)
    place = "held-out text (split validation)" if texts else "the text it was made from"
    if not texts:
        texts = build.first_texts(raw_texts.split_texts(task, "train"), MEASURED_BYTES)
    size = sum(map(len, texts)) / 1e6
    return f"on {size:,.2f} MB of {place}: {build.describe_encoding(vocabulary, texts)}"
