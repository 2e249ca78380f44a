"""Results of two made-up models on one text: rows, with the sums of their documents."""

import numpy as np

from primer.evaluation.paired import document_sums
from primer.evaluation.tokenized_split import from_documents
from tests.evaluation.paired.test_document_sums import row_of


def text_of(lengths, tokens_per_word=2, vocabulary=0):
    """Documents of so many words; vocabularies differ in the tokens of a word and in their ids."""
    return from_documents(
        [("word " * n, [vocabulary + 2] * (tokens_per_word * n)) for n in lengths], 1
    )


def losses(text, seed, shift=0.0):
    """The loss of each token: hard and easy documents, the same for all models, and some noise."""
    number = len(text.lengths)
    hardness = np.random.default_rng(0).gamma(9, 0.5, number) + shift
    noise = 0.05 * np.random.default_rng(seed).standard_normal(number)
    return np.repeat(hardness + noise, text.lengths)


def evaluated(model_dir, text, nats, **changes):
    """The row of a model in its directory, with its sums."""
    row = row_of(model_dir, text, nats, how="cut", **changes)
    document_sums.write(row, document_sums.of_text(nats, text))
    return row
