"""Families: groups of runs with equal settings but for some, as the size or the learning rate.

Of runs of a sweep the settings there are compared, of other runs those of `config.gin`. Names count
by their last part: `gin.utils.run.batch_size` is the batch size. Where sizes may differ, runs of a
sweep are compared by the axes that their names have and by what the whole sweep has set: a ladder
sets more by its size, as the warmup or the weight decay, which its names do not have.
"""

import dataclasses
import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from primer.experiments.report.runs import Run
from primer.experiments.report.sections import Contender
from primer.experiments.report.settings import SEED

STEPS = frozenset({"steps", "train_steps"})
RATE = frozenset({"learning_rate"})
BATCH = frozenset({"batch_size"})
# Of sweeps "size"; of config.gin what the files of gin/sizes/ bind. Experts are not a size: their
# number may be the question.
SIZE = frozenset(
    {
        *("size", "depth", "d_model", "num_layers", "num_heads", "d_kv", "d_ff", "d_ff_gated"),
        *("d_model_narrow", "d_ff_12x", "d_ff_12x_gated", "num_switch_blocks"),
        *("num_evolved_blocks", "published_vocabulary_size"),
    }
)
SCALE = STEPS | RATE | BATCH | SIZE
# What trains nothing else: when checkpoints are written and evaluated, and where the run is.
_BOOKKEEPING = {
    *("seed", "model_dir", "eval_every", "profile", "save_checkpoints_steps"),
    *("keep_checkpoint_max", "tokens_per_microbatch_per_replica", SEED, "every"),
}
_PARTS = re.compile(r"[,/_\-]")


@dataclasses.dataclass(frozen=True)
class Family:
    """Contenders whose settings are equal but for some.

    Attributes:
        name: what the names of its contenders have in common, unique among the families.
        contenders: in the order of the section.
    """

    name: str
    contenders: Sequence[Contender]


def families(contenders: Sequence[Contender], but_for: Collection[str]) -> list[Family]:
    """Returns the families of contenders, in the order of their first ones.

    Args:
        contenders: those of a section.
        but_for: the names of the settings that may differ, as SCALE.
    """
    found: dict[Any, list[Contender]] = {}
    for contender in contenders:
        found.setdefault(_key(contender, but_for), []).append(contender)
    members = list(found.values())
    names = [_name([one.name for one in own]) for own in members]
    return [
        Family(f"{name} ({own[0].name})" if names.count(name) > 1 else name, own)
        for name, own in zip(names, members)
    ]


def _key(contender: Contender, but_for: Collection[str]) -> Any:
    run = contender.curves[0].run
    if run.settings is not None and SIZE <= set(but_for):
        fixed = {key: value for key, value in run.settings.items() if key not in run.axes}
        parts = [pair for pair in run.name.split(",") if _counts(pair.split("=")[0], but_for)]
        return "axes", _text(fixed, but_for), tuple(parts)
    if run.settings is not None:
        return "sweep", _text(run.settings, but_for)
    if run.config is not None:
        return "config", _text(run.config, but_for)
    return run.model_dir


def _text(settings: Mapping[str, Any], but_for: Collection[str]) -> str:
    kept = {name: value for name, value in settings.items() if _counts(name, but_for)}
    return json.dumps(kept, sort_keys=True, default=str)


def _counts(name: str, but_for: Collection[str]) -> bool:
    return last_part(name) not in but_for and last_part(name) not in _BOOKKEEPING


def last_part(name: str) -> str:
    """Returns the last part of a setting's name: "gin.utils.run.batch_size" -> "batch_size"."""
    return name.rpartition(".")[2]


def _name(names: Sequence[str]) -> str:
    """Returns what names have in common: "primer" of "architecture=primer,size=tiny" and so on."""
    if len(names) == 1:
        return names[0]
    parts = [name.split(",") for name in names]
    common = [part for part in parts[0] if all(part in other for other in parts)]
    if common:
        pairs = [part.partition("=") for part in common]
        # One axis that all have: its value alone, as for groups.
        return pairs[0][2] or common[0] if len(common) == 1 else ",".join(common)
    start = os.path.commonprefix(list(names))
    # "primer_tin" of "primer_tiny" and "primer_tint" ends at a separator.
    cut = max((match.start() for match in _PARTS.finditer(start)), default=0)
    return start[:cut] or f"{names[0]} and {len(names) - 1} more"


def rate_of(run: Run) -> float | None:
    """Returns the learning rate of a run, the highest one of its schedule; None if not known."""
    for settings in (run.settings, run.config):
        for name, value in (settings or {}).items():
            if last_part(name) == "learning_rate" and "/" not in name:
                number = _number(value, run.config or {})
                if number is not None:
                    return number
    return None


def _number(value: Any, config: Mapping[str, str]) -> float | None:
    """Returns a number, or that of the macro which a text of gin names."""
    for _ in range(20):
        if not (isinstance(value, str) and value.startswith("%")):
            break
        value = config.get(value[1:], "")
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
