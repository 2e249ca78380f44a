"""The README's commands on the TensorFlow 2.15.1 track."""

from tests.docs.test_readme import test_the_commands_of_the_originals_readme  # noqa: F401
from tests.tpu_track.marks import TPU_TRACK

pytestmark = TPU_TRACK
