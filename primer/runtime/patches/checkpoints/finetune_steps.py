"""t5 0.9.4: fine-tuning counts its steps from the step of the other model.

Training from another checkpoint starts at step 0 (`patches.checkpoints.initial_checkpoint`), so
that its last step is the number of steps.
"""

import os
from types import ModuleType
from typing import Any

from t5.models import utils


def patch(mtf_model: ModuleType) -> None:
    """Patches `t5.models.mtf_model.MtfModel.finetune`."""

    def finetune(
        self: Any,
        mixture_or_task_name: str,
        finetune_steps: int,
        pretrained_model_dir: str,
        pretrained_checkpoint_step: int = -1,
        split: str = "train",
    ) -> None:
        """Trains for `finetune_steps` steps from a checkpoint of another directory."""
        step = pretrained_checkpoint_step
        if step == -1:
            step = utils.get_latest_checkpoint_from_dir(pretrained_model_dir)
        mtf_model._parse_operative_config(pretrained_model_dir)
        path = os.path.join(pretrained_model_dir, f"model.ckpt-{step}")
        self.train(mixture_or_task_name, finetune_steps, init_checkpoint=path, split=split)

    mtf_model.MtfModel.finetune = finetune
