"""Registers all that Primer's gin files may name: `--module_import=t5_imports`.

Layers, tasks and evaluation come in by import; Primer's gin files are found by their relative
names (`models/small_primer.gin`) from any directory. No import here reads data, a vocabulary or
the network.
"""

import importlib
import sys

import gin

from primer.gin_config import config_files

MODULES = (
    "primer.layers",
    "primer.data.tasks",
    "primer.runtime.engine",
    "primer.evaluation.runtime_callbacks",
    "primer.planning.runtime_callbacks",
)

# Old name -> new name of modules that gin files import: the config.gin of a model directory names
# them as they were called when it was written.
RENAMED = {
    "primer.data.train_rows": "primer.data.objectives.train_rows",
    "primer.evaluation.whole_split": "primer.evaluation.evaluate",
}

for _module in MODULES:
    importlib.import_module(_module)
for _old, _new in RENAMED.items():
    sys.modules.setdefault(_old, importlib.import_module(_new))

gin.add_config_file_search_path(config_files.gin_directory())
