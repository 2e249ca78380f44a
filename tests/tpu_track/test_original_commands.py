"""The original's commands on the TensorFlow 2.15.1 track."""

from tests.docs.test_original_commands import test_the_commands_of_the_originals_readme  # noqa: F401
from tests.tpu_track.marks import TPU_TRACK

pytestmark = TPU_TRACK
