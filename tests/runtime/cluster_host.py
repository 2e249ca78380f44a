"""One host of a test cluster: `python cluster_host.py MODEL_DIR [BINDING ...]`."""

import sys

from primer.runtime import import_hook

import_hook.install()

from tests.runtime import tiny  # noqa: E402

CLUSTER = (
    "utils.run.mesh_shape = @mesh_shape()",
    "utils.run.mesh_devices = @mesh_devices()",
    "utils.run.layout_rules = 'batch:batch'",
)

if __name__ == "__main__":
    tiny.run(sys.argv[1], *CLUSTER, *sys.argv[2:])
