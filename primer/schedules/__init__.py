"""Learning-rate schedules; importing this package registers them with gin."""

from primer.schedules.constant import constant_schedule

__all__ = ["constant_schedule"]
