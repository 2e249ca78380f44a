"""The two commands as tests call them: `primer` in this process, t5's engine in one of its own."""

import pytest

from primer import cli

# What `python -c` runs as `t5_mesh_transformer`, where no .pth file installs the hook.
ENGINE = (
    "import primer.runtime.import_hook as h; h.install(); "
    "from t5.models.mesh_transformer_main import console_entry_point as m; m()"
)


def run(*words):
    """The exit code of `primer words...`, in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code
