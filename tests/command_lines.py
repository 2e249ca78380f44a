"""Ways for tests to run `primer` in this process and t5's engine in a subprocess."""

import pytest

from primer import cli

# `t5_mesh_transformer` for `python -c`, without the .pth file that installs the import hook.
ENGINE = (
    "import primer.runtime.import_hook as h; h.install(); "
    "from t5.models.mesh_transformer_main import console_entry_point as m; m()"
)


def run(*words):
    """Runs `primer words...` in this process; returns its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code
