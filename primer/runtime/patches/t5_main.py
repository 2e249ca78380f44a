"""t5 0.9.4: its main shows a traceback for a wrong setting, and has no log file.

The patch gives the model API of its console script (`--use_model_api`) what
`primer.runtime.engine` gives `utils.run`: one line for an error, and a log file.
"""

from types import ModuleType

from primer.runtime import engine


def patch(mesh_transformer_main: ModuleType) -> None:
    """Patches `t5.models.mesh_transformer_main.main`."""
    mesh_transformer_main.main = engine.guarded_main(mesh_transformer_main.main)
