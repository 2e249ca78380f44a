"""Registers everything that Primer's gin files may name: `--module_import=t5_imports`.

Imports layers, tasks, the engine and evaluation, and adds the folder of gin files to gin's search
path, so that relative names (`models/small_primer.gin`) work in any directory. No import reads
data, a vocabulary or the network.
"""

import importlib
import sys

import gin

from primer.gin_config import config_files

MODULES = (
    "primer.layers",
    "primer.optimizers",
    "primer.schedules",
    "primer.data.tasks",
    "primer.runtime.engine",
    "primer.evaluation.runtime_callbacks",
    "primer.planning.runtime_callbacks",
    "primer.profiling.runtime_callbacks",
)

# Old name -> new name of modules that gin files import: a model directory's config.gin has the
# names of the time when it was written.
RENAMED = {
    "primer.data.train_rows": "primer.data.objectives.train_rows",
    "primer.evaluation.whole_split": "primer.evaluation.evaluate",
}

for _module in MODULES:
    importlib.import_module(_module)
for _old, _new in RENAMED.items():
    sys.modules.setdefault(_old, importlib.import_module(_new))

gin.add_config_file_search_path(config_files.gin_directory())
