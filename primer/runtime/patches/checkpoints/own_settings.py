"""t5 0.9.4: with `--use_model_api`, a model directory's own gin file may run any Python code.

`MtfModel.eval`, `predict`, `score` and `export` parse `operative_config.gin` of the directory, and
`finetune` that of the pretrained model. The patch checks the file first
(`primer.gin_config.trust`): it may import Primer's packages and the modules of `--module_import`.
"""

import functools
import os
from types import ModuleType

from absl import flags

from primer.gin_config import trust


def patch(mtf_model: ModuleType) -> None:
    """Patches `t5.models.mtf_model._parse_operative_config`."""
    stock = mtf_model._parse_operative_config

    @functools.wraps(stock)
    def parse_operative_config(model_dir):
        trust.check_config(os.path.join(model_dir, "operative_config.gin"), _module_imports())
        return stock(model_dir)

    mtf_model._parse_operative_config = parse_operative_config


def _module_imports() -> list[str]:
    """Returns the modules of `--module_import`; none where no command line was parsed."""
    known = flags.FLAGS.is_parsed() and "module_import" in flags.FLAGS
    return list(flags.FLAGS.module_import or []) if known else []
