"""A vocabulary of another size than the checkpoint's is refused before the model is built."""

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


def test_another_size_is_refused_with_both_sizes(checkpoint):
    vocabulary_size.check_embedding_size(tiny.model(), [checkpoint])
    vocabulary_size.check_embedding_size(tiny.model(vocabulary=tiny.PADDED), [checkpoint])
    with pytest.raises(UsageError, match="embedding of 384 ids, and .* 8,192"):
        vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [checkpoint])


def test_unreadable_checkpoints_and_one_of_several_are_not_refused(checkpoint, tmp_path):
    other, _ = tiny.save_and_logits(tmp_path, np.ones([1, tiny.LENGTH], np.int32), step=2)
    with open(f"{other}.index", "wb") as index:
        index.write(b"no index")
    vocabulary_size.check_embedding_size(tiny.model(), [other, checkpoint])
    vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [other])
    with pytest.raises(UsageError, match="model.ckpt-1 has"):
        vocabulary_size.check_embedding_size(tiny.model(vocabulary=8192), [other, checkpoint])
