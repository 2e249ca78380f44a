"""Plans of small models, for tests."""

from primer.gin_config import config_files
from primer.planning.layouts import notation
from primer.planning.plans import planner as plans

TINY = config_files.composition_files("transformer", "relu", "tiny")
MODEL_LAYOUT = "batch:batch,d_ff:model,heads:model,vocab:model"


def plan(files, params=(), mesh=None, layout=MODEL_LAYOUT, chip="v3", whole=False, changes=None):
    """Returns the plan of training of gin files."""
    with plans.settings_of(files, params):
        planner = plans.Planner(plans.Machine(chip, 0.5, 128, whole))
        return planner.plan(
            "as set", mesh or {"batch": 2, "model": 2}, notation.layout_of(layout), changes
        )
