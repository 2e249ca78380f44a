"""Whether a loss in the middle of a run may be compared with a final one: by the learning rate.

While the rate decays to its end, a loss falls for that alone: in the middle of such a schedule it
is higher than that of a run which ends there. Only schedules without a decay at the end, whose rate
does not depend on the length of the run, have losses that are all final ones.
"""

from collections.abc import Mapping

# Schedule -> (its parameter that must be 0, or None; the value where the settings have none).
_STEADY: dict[str, tuple[str | None, str]] = {
    "constant_schedule": (None, ""),
    "truncated_rsqrt": (None, ""),
    "inverse_sqrt_schedule": ("cooldown_steps", "0"),
    "learning_rate_schedule_noam": ("linear_decay_fraction", "0.1"),  # Mesh-TensorFlow's default.
}
_SCHEDULE = "run.learning_rate_schedule"
_LONGEST = 20  # Macros that name macros.


def obstacle(config: Mapping[str, str] | None) -> str:
    """Returns why losses in the middle of a run are no final ones, or "" where they are.

    Args:
        config: the run's settings (`settings.read`), or None.
    """
    if config is None:
        return "it has no config.gin, so that its schedule is not known"
    value = _resolved(config, config.get(_SCHEDULE, ""))
    name = value.removeprefix("@").removesuffix("()") if value.startswith("@") else ""
    if name not in _STEADY:
        return f"its schedule {name or '(none)'} is not constant or an inverse square root"
    parameter, default = _STEADY[name]
    if parameter is None:
        return ""
    value = _resolved(config, config.get(f"{name}.{parameter}", default))
    if value in ("0", "0.0", "None"):
        return ""
    return f"its schedule {name} decays at the end ({parameter} = {value})"


def _resolved(config: Mapping[str, str], value: str) -> str:
    """Returns the value that `%macro` stands for."""
    for _ in range(_LONGEST):
        if not value.startswith("%"):
            break
        value = config.get(value[1:], "")
    return value
