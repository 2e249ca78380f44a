"""TensorFlow 2.15 to 2.21 writes C++ notices to the terminal when it is imported.

For t5's console script the patch catches them for the run's log (`primer.common.console`).
Elsewhere it sets TF_CPP_MIN_LOG_LEVEL, unless the user has set it. `--verbosity=1` and more leave
everything on the terminal.
"""

import os
import re
import sys
from types import ModuleType

# The name of t5's console script.
SCRIPT = "t5_mesh_transformer"


def patch(os_module: ModuleType) -> None:
    """Sets the environment variable in `os`, or catches the notices; before TensorFlow's import."""
    if os.path.basename(sys.argv[0]) == SCRIPT and not _is_verbose(sys.argv):
        from primer.common import console

        console.capture_startup()
    else:
        os_module.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _is_verbose(arguments):
    """Tells whether `--verbosity=1` or more is among the arguments, before absl reads them."""
    text = " ".join(arguments)
    return re.search(r"--?(verbosity|v)[= ]+[1-9]", text) is not None
