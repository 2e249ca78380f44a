"""golden/model_directory: Primer-EZ on windows of 32 bytes, with checkpoints 3 and 6."""

import os
import tarfile

from tests import tiny_text
from tests.paths import GOLDEN

ARCHIVE = GOLDEN / "model_directory" / "model.tar.xz"


def unpack(folder):
    """Unpacks the model directory and its texts into a folder; returns the model directory."""
    texts = folder / "texts"
    texts.mkdir()
    tiny_text.write(texts)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    config = folder / "model" / "config.gin"
    config.write_text(config.read_text().replace("/data/", f"{texts}{os.sep}"))
    return config.parent
