"""Files, folders, modules, functions and links in the pages exist."""

import ast
import re

import pytest

from tests.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOPS = ("primer/", "gin/", "tests/", "benchmarks/", "docs/", "constraints/")
KINDS = tuple(f"{path.name}/" for path in (ROOT / "gin").iterdir() if path.is_dir())
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#]+)\)")
# Blocks for files that a reader adds; these files do not exist.
WRITTEN = re.compile(r"```\w+ (?:file|append|below)=.*?```", re.DOTALL)


def spans(page):
    """Returns the texts in backticks of a page, outside blocks of code."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return CODE.findall(prose)


def exists(name):
    """Returns whether a path below the root, gin/ or primer/ is a file or folder."""
    return any(any(ROOT.glob(f"{folder}{name.rstrip('/')}")) for folder in ("", "gin/", "primer/"))


pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pages
def test_paths_exist(page):
    if page.name == "adding.md":
        pytest.skip("tests/docs/test_adding.py follows this page")
    named = [name.split("::")[0] for name in spans(page) if name.startswith((*TOPS, *KINDS))]
    missing = [name for name in named if " " not in name and "<" not in name and not exists(name)]
    assert not missing


@pages
def test_links_lead_to_pages(page):
    links = LINK.findall(WRITTEN.sub("", page.read_text(encoding="utf-8")))
    local = [link for link in links if "://" not in link]
    assert not [link for link in local if not (page.parent / link).exists()]


def definitions(path):
    """Returns the names that a module defines, including "Class.method"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            own = [item for item in node.body if isinstance(item, ast.FunctionDef)]
            found |= {f"{node.name}.{item.name}" for item in own}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def leads_to_code(name):
    """Returns whether `primer.room.module` or `primer.room.module.name` exists."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:end])
        rest = ".".join(parts[end:])
        if path.with_suffix(".py").is_file():
            return not rest or rest in definitions(path.with_suffix(".py"))
        if path.is_dir():
            return not rest or rest in definitions(path / "__init__.py")
    return False


@pages
def test_dotted_names_lead_to_code(page):
    names = [name.removesuffix("()") for name in spans(page)]
    dotted = [name for name in names if re.fullmatch(r"primer(\.\w+)+", name)]
    known = {"primer.json", "primer.load"}
    assert not [name for name in dotted if name not in known and not leads_to_code(name)]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 240
