"""Whether a loss may be compared with a final one: by the learning rate at its step.

While the rate decays to its end, a loss falls for that alone: in the middle of such a schedule it
is higher than that of a run which ends there. All losses are final ones only where the schedule
does not decay at the end and does not depend on the length of the run. WSD-S decays several times,
and its losses at the ends of its decays are final ones. Of every other schedule the last one is.
"""

import ast
from collections.abc import Mapping

# Schedule -> (its parameter that must be 0, or None; the value where the settings have none).
_STEADY: dict[str, tuple[str | None, str]] = {
    "constant": (None, ""),  # Mesh-TensorFlow's.
    "constant_schedule": (None, ""),
    "truncated_rsqrt": (None, ""),
    "inverse_sqrt_schedule": ("cooldown_steps", "0"),
    "learning_rate_schedule_noam": ("linear_decay_fraction", "0.1"),  # Mesh-TensorFlow's default.
}
_BRANCHES = "wsd_s_schedule"
_DECAY_ENDS = "(0.25, 0.5, 1.0)"  # Where the settings have none.
_SCHEDULE = "run.learning_rate_schedule"
_STEPS = "run.train_steps"
_LONGEST = 20  # Macros that name macros.


def obstacle(config: Mapping[str, str] | None) -> str:
    """Returns why losses in the middle of a run are no final ones, or "" where they are.

    Args:
        config: the run's settings (`settings.read`), or None.
    """
    if config is None:
        return "it has no config.gin, so that its schedule is not known"
    name = _name(config)
    if name not in _STEADY:
        return f"its schedule {name or '(none)'} is not constant or an inverse square root"
    parameter, default = _STEADY[name]
    if parameter is None:
        return ""
    value = _resolved(config, config.get(f"{name}.{parameter}", default))
    if value in ("0", "0.0", "None"):
        return ""
    return f"its schedule {name} decays at the end ({parameter} = {value})"


def decay_ends(config: Mapping[str, str] | None) -> list[float] | None:
    """Returns the steps at which the decays of a WSD-S run end; None for other runs.

    [] where the length of the run, of which they are fractions, is not known.
    """
    if config is None or _name(config) != _BRANCHES:
        return None
    total = train_steps(config)
    text = _resolved(config, config.get(f"{_BRANCHES}.decay_ends", _DECAY_ENDS))
    try:
        ends = [float(end) for end in ast.literal_eval(text)]
    except (ValueError, SyntaxError, TypeError):
        return []
    if total is None and any(end <= 1 for end in ends):
        return []
    return [end * (total or 0) if end <= 1 else end for end in ends]


def is_decay_end(ends: list[float], step: int) -> bool:
    """Returns whether a decay ends at a step; ends between two steps belong to both."""
    return any(abs(step - end) < 1 for end in ends)


def unfinished(config: Mapping[str, str] | None, step: int) -> str:
    """Returns why the loss at a step is no final one, or "" where it is.

    Args:
        config: the run's settings, or None.
        step: the step.
    """
    problem = obstacle(config)
    if config is None or not problem:
        return problem
    ends, total = decay_ends(config), train_steps(config)
    if ends is not None and is_decay_end(ends, step):
        return ""
    if total is not None and step < total:
        return f"step {step:,} of {total:,} is in the middle of {_name(config) or 'its schedule'}"
    return ""


def _name(config: Mapping[str, str]) -> str:
    """Returns the name of the schedule: "cosine_schedule"; of a product "constant x linear_decay".

    "" where it is no reference.
    """
    value = _resolved(config, config.get(_SCHEDULE, ""))
    names = value.removeprefix("[").removesuffix("]").split(", ")
    if not all(name.startswith("@") for name in names):
        return ""
    return " x ".join(name.removeprefix("@").removesuffix("()") for name in names)


def train_steps(config: Mapping[str, str]) -> int | None:
    """Returns the step at which the run was to end; None where its settings do not have it."""
    value = _resolved(config, config.get(_STEPS, ""))
    return int(value) if value.isdecimal() else None


def _resolved(config: Mapping[str, str], value: str) -> str:
    """Returns the value that `%macro` stands for."""
    for _ in range(_LONGEST):
        if not value.startswith("%"):
            break
        value = config.get(value[1:], "")
    return value
