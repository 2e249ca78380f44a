"""Paths of the project and of its golden files."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
# May select golden numbers of other sizes and seeds, in files of the same names.
PARITY = pathlib.Path(os.environ.get("PRIMER_PARITY_DIR") or GOLDEN)
