"""A worker process that takes long to begin; it imports nothing."""

import dataclasses
import pathlib
import time


@dataclasses.dataclass
class Plan:
    marker: str  # The path of the file that a worker writes when it has begun.


def initialize(plan, reports):
    time.sleep(20)
    pathlib.Path(plan["marker"]).write_text("begun")
