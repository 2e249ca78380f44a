"""Registers all that Primer's gin files may name: `--module_import=t5_imports`.

Layers, tasks and evaluation come in by import; Primer's gin files are found by their relative
names (`models/small_primer.gin`) from any directory. No import here reads data, a vocabulary or
the network.
"""

import importlib

import gin

from primer import config_files

MODULES = (
    "primer.layers",
    "primer.data.tasks",
    "primer.runtime.engine",
    "primer.evaluation.registration",
    "primer.planning.registration",
)

for _module in MODULES:
    importlib.import_module(_module)

gin.add_config_file_search_path(config_files.gin_directory())
