"""Small models on small meshes, for the tests of a device's program."""

import primer.optimizers  # noqa: F401  Registers what gin files name.
from primer.planning.device_program import lowered_run, planner
from tests import gin_models

VOCABULARY = 97
LAYOUT = "batch:batch,d_ff:model,heads:model,vocab:model"
# The experts lie on the axis of the batch, between whose devices their tokens move.
EXPERTS = "outer_batch:batch,experts:batch,d_ff:model,heads:model,vocab:model"
# The length is split: a convolution needs the positions before its own.
POSITIONS = "length:length"
SMALL = (
    "num_layers = 2",
    'utils.run.batch_size = ("sequences_per_batch", 8)',
    'utils.run.sequence_length = {"inputs": 32, "targets": 32}',
    'precision.activation_dtype = "float32"',
)


def parse(architecture, *bindings, overlay=None):
    """Parses the gin files of a composition, with a small batch."""
    activation = "gelu" if architecture == "gpt2" else "squared_relu"
    gin_models.parse(gin_models.files(architecture, activation, overlay), [*SMALL, *bindings])


def lower(mesh, layout=LAYOUT, mode="train", **options):
    """Lowers the graph that gin describes for one device."""
    return lowered_run.lower(VOCABULARY, mode, mesh, layout, **options)


def program(mesh, layout=LAYOUT, mode="train", **options):
    """Returns the program of one device for what gin describes."""
    return planner.of_run(lower(mesh, layout, mode, **options))
