"""A vocabulary that a checkpoint does not have is refused before the model is built."""

import numpy as np
import pytest

from primer.checkpoints import vocabulary_size
from primer.errors import UsageError
from tests.evaluation import tiny


@pytest.fixture
def checkpoint(tmp_path):
    tiny.configure("transformer")
    path, _ = tiny.save_and_logits(tmp_path, np.ones([1, tiny.LENGTH], np.int32))
    return path


def test_the_sizes_are_named(checkpoint):
    vocabulary_size.check_embedding_size(tiny.model(), [checkpoint])
    vocabulary_size.check_embedding_size(tiny.model(vocabulary=tiny.PADDED), [checkpoint])
    with pytest.raises(UsageError, match="embedding of 384 ids, and .* 8,192"):
        vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [checkpoint])


def test_what_cannot_be_read_or_is_one_of_several_is_left_to_the_restoring(checkpoint, tmp_path):
    other, _ = tiny.save_and_logits(tmp_path, np.ones([1, tiny.LENGTH], np.int32), step=2)
    with open(f"{other}.index", "wb") as index:
        index.write(b"no index")
    vocabulary_size.check_embedding_size(tiny.model(), [other, checkpoint])
    vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [other])
    with pytest.raises(UsageError, match="model.ckpt-1 has"):
        vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [other, checkpoint])
