"""t5 0.9.4: its main shows a traceback for a wrong setting, and has no log file.

The patch gives the model API of its console script (`--use_model_api`) what
`primer.runtime.command_line.guarded_run` gives `utils.run`: one line for an error, and a log file.
"""

from types import ModuleType

from primer.runtime.command_line import guarded_run


def patch(mesh_transformer_main: ModuleType) -> None:
    """Patches `t5.models.mesh_transformer_main.main`."""
    mesh_transformer_main.main = guarded_run.guarded_main(mesh_transformer_main.main)
