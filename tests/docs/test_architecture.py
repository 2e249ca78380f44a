"""docs/architecture.md lists every room with the floor that the import test has."""

import re

from tests.paths import ROOT
from tests.test_import_arrows import FLOORS

ROW = re.compile(r"^\| (\d+) \| `([\w/.]+)` \| (.+) \|$", re.MULTILINE)
PACKAGE = ROOT / "primer"


def rows():
    """Returns {path of a room below primer/: its floor} from the page."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return {name.rstrip("/"): int(floor) for floor, name, _ in ROW.findall(page)}


def test_every_room_has_a_sentence():
    folders = {str(p.parent.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py")} - {"."}
    assert folders <= set(rows())
    assert all((PACKAGE / name).exists() for name in rows())


def test_floors_are_those_of_the_import_test():
    for name, floor in rows().items():
        assert floor == FLOORS[name.split("/")[0].removesuffix(".py")], name
