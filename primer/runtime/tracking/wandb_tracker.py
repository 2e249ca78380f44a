"""Weights & Biases (https://docs.wandb.ai) as the tracker of a run: `--tracker wandb`.

    WandbTracker.project = "primer"
    WandbTracker.name = "primer-small-seed-0"     # default: the name of the model directory
    WandbTracker.group = "seeds"
    WandbTracker.tags = ["primer", "c4"]

The id of the run is kept in `model_dir/wandb.json`: a session that resumes goes on in the same run.
Curves are drawn over `step`. After a kill, the steps from the last checkpoint on are trained and
logged again: W&B keeps both values, and shows the later one at the same place.
`WANDB_MODE=offline` writes to `model_dir/wandb/`, for `wandb sync`.
"""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import tensorflow.compat.v1 as tf

from primer.common import files, user_paths
from primer.errors import RunError, UsageError
from primer.runtime.tracking.tracker import TrackedRun

RECORD = "wandb.json"


@gin.configurable(module="primer")
class WandbTracker:
    """Logs a run to Weights & Biases.

    Args:
        project: the project; None: W&B's own setting (`WANDB_PROJECT`), else "primer".
        entity: the user or team; None: W&B's own setting.
        name: the name of the run; None: that of the model directory.
        group: the group of runs, as of all seeds of one model.
        tags: words to find the run by.
        notes: a text on the run.

    Raises:
        UsageError: the package wandb is not installed, or a setting is not valid.
    """

    def __init__(
        self,
        project: str | None = None,
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] | None = None,
        notes: str | None = None,
    ) -> None:
        self._wandb = _require_package()
        self._project = project or os.environ.get("WANDB_PROJECT") or "primer"
        if isinstance(tags, str):
            raise UsageError(f"WandbTracker.tags is {tags!r}; expected a list, as [{tags!r}]")
        self._settings = {
            "entity": entity,
            "name": name,
            "group": group,
            "tags": list(tags) if tags else None,
            "notes": notes,
        }
        self._run: Any = None

    def open(self, run: TrackedRun) -> None:
        """Begins W&B's run, or goes on with it.

        Args:
            run: the run of training.

        Raises:
            RunError: W&B refuses the run, as without a login.
        """
        remote = user_paths.is_remote(run.model_dir)
        name = os.path.basename(os.path.normpath(run.model_dir))
        settings = {**self._settings, "name": self._settings["name"] or name}
        self._run = self._wandb.init(
            project=self._project,
            id=_run_id(run.model_dir),
            resume="allow",
            config=dict(run.config),
            dir=None if remote else run.model_dir,
            # `train.log` has the lines of a run; the progress line would be thousands there.
            settings=self._wandb.Settings(console=os.environ.get("WANDB_CONSOLE", "off")),
            **settings,
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the numbers of a step."""
        self._run.log({"step": step, **values})

    def close(self, failed: bool) -> None:
        """Ends W&B's run with exit code 1 if an error ends it, else 0."""
        self._run.finish(exit_code=int(failed))


def _require_package():
    try:
        import wandb
    except ImportError as error:
        raise UsageError(
            "--tracker wandb (tracking.tracker = @WandbTracker()) needs the package wandb, which "
            "cannot be imported: pip install 'primer[wandb]', or pip install wandb"
        ) from error
    return wandb


def _run_id(model_dir) -> str:
    """Returns the id of the directory's run; a new one is stored before anything is logged."""
    path = os.path.join(model_dir, RECORD)
    if tf.io.gfile.exists(path):
        try:
            with tf.io.gfile.GFile(path) as file:
                found = json.loads(file.read())["id"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path} is damaged; remove it to begin a new run of Weights & Biases"
            ) from error
        return str(found)
    made = secrets.token_hex(4)
    files.write_json(path, {"id": made})
    return made
