"""The key `evaluate` of a sweep's file: what `primer eval` is asked for, and which checkpoints.

evaluate:                        # or a list of such entries
  checkpoints: every 200         # all (default); last; every N steps and the last one
  split: validation              # the other keys are options of `primer eval`, and `task`
  protocol: stream
"""

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from primer import __version__
from primer.common import checks, user_paths
from primer.common.settings import evaluation_settings
from primer.errors import UsageError
from primer.launch import train

CHECKPOINTS = "checkpoints"
_NUMBERS = {"stride": 1, "columns": 1, "ext_len": 0, "batch_size": 1}  # Option -> least value.
_LISTS = ("gin_param", "module_import", "trust")
_TEXTS = ("split", "protocol", "activation_dtype", "task", "t5_tfds_data_dir")
OPTIONS = (*_TEXTS, *_NUMBERS, *_LISTS)
_EVERY = re.compile(r"every (\d+)")
_TASK = "MIXTURE_NAME"  # The slot of a run's task.


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation of the checkpoints of each run.

    Attributes:
        checkpoints: "all", "last", or the N of "every N".
        options: {option of `primer eval`, or "task": value}.
    """

    checkpoints: str | int
    options: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A text that is equal for evaluations whose results are equal."""
        return json.dumps({**self.options, "primer": __version__}, sort_keys=True)

    def wanted(self, steps: Sequence[int], is_done: bool) -> list[int]:
        """Returns the steps of the checkpoints that are to be evaluated.

        Args:
            steps: those of the checkpoints that exist, sorted.
            is_done: whether the run is done: the last one is then its final checkpoint.
        """
        if self.checkpoints == "all":
            return list(steps)
        last = set(steps[-1:] if is_done else [])
        if isinstance(self.checkpoints, int):
            last |= {step for step in steps if step and step % self.checkpoints == 0}
        return sorted(last)

    def words(
        self, model_dir: str, steps: Collection[int], settings: Mapping[str, Any]
    ) -> list[str]:
        """Returns the arguments of `primer eval` for some checkpoints of a run.

        Args:
            model_dir: the run's directory.
            steps: the steps of the checkpoints.
            settings: the run's settings: its modules and the folder of its data are used too.
        """
        options = dict(self.options)
        folder = options.pop("t5_tfds_data_dir", settings.get("t5_tfds_data_dir"))
        lists = {name: list(options.pop(name, [])) for name in _LISTS}
        lists["module_import"] = [*settings.get("module_import", []), *lists["module_import"]]
        task = options.pop("task", None)
        if task is not None:
            lists["gin_param"].insert(0, f'{_TASK} = "{task}"')
        words = [f"--model_dir={model_dir}", f"--checkpoints={','.join(map(str, sorted(steps)))}"]
        words += [f"--{name}={value}" for name, value in options.items()]
        words += [f"--{name}={value}" for name, values in lists.items() for value in values]
        return [*words, *([f"--t5_tfds_data_dir={folder}"] if folder else [])]

    def __str__(self) -> str:
        """Returns its options as text: "validation, protocol packed"."""
        shown = {"split": "validation", **self.options}
        parts = [str(shown.pop("split"))]
        return ", ".join([*parts, *(f"{name} {value}" for name, value in shown.items())])


def read(where: str, content: Any, folder: str) -> tuple[Evaluation, ...]:
    """Returns the evaluations that a sweep's file asks for.

    Args:
        where: the place in the file, for messages.
        content: the value of `evaluate`, or None.
        folder: the absolute path that relative paths begin at.

    Raises:
        UsageError: it is not an evaluation, an option is unknown or has an illegal value, or two
            entries are the same.
    """
    if content is None:
        return ()
    if not isinstance(content, list):
        return (_evaluation(where, content, folder),)
    found = [_evaluation(f"{where}[{n}]", entry, folder) for n, entry in enumerate(content)]
    keys = [one.key for one in found]
    if not found or len(set(keys)) < len(keys):
        raise UsageError(f"{where} = {content!r}: expected one or more different evaluations")
    return tuple(found)


def _evaluation(where: str, content: Any, folder: str) -> Evaluation:
    if not isinstance(content, dict):
        raise UsageError(f"{where} = {content!r}: expected options as {{checkpoints: all}}")
    for key in content:
        if key != CHECKPOINTS and key not in OPTIONS:
            known = (CHECKPOINTS, *OPTIONS)
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}"
            raise UsageError(f"{where}: unknown option {key!r} of an evaluation; {hint}")
    options = {
        key: _option(f"{where}.{key}", key, value, folder)
        for key, value in content.items()
        if key != CHECKPOINTS
    }
    if "protocol" in options:
        own = {name: options.get(name) for name in ("stride", "columns", "ext_len")}
        evaluation_settings.check_protocol(options["protocol"], **own)
    return Evaluation(_checkpoints(where, content.get(CHECKPOINTS, "all")), options)


def _checkpoints(where: str, value: Any) -> str | int:
    every = _EVERY.fullmatch(value) if isinstance(value, str) else None
    if every and int(every[1]):
        return int(every[1])
    if value in ("all", "last"):
        return str(value)
    raise UsageError(f"{where}.{CHECKPOINTS} = {value!r}: expected all, last, or every N (steps)")


def _option(where: str, key: str, value: Any, folder: str) -> Any:
    if key in _NUMBERS:
        return checks.whole_number(where, value, least=_NUMBERS[key])
    if key in _LISTS:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UsageError(f"{where} = {value!r}: expected a text, or a list of texts")
        return texts
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where} = {value!r}: expected a text")
    if key == "activation_dtype":
        return checks.one_of(where, value, ("float32", "bfloat16"))
    if key == "t5_tfds_data_dir" and not user_paths.is_remote(value):
        return os.path.join(folder, os.path.expanduser(value))
    return train.full_task_name(value) if key == "task" else value
