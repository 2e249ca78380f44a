"""Conventions of the code under primer/: docstrings, annotations, lengths and words."""

import ast
import inspect
import os
import re
import statistics
from pathlib import Path

import pytest

import primer

PACKAGE = Path(primer.__file__).resolve().parent
PATHS = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PATHS}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
OTHER_SECTIONS = ("Arguments", "Parameters", "Params", "Return", "Raise", "Throws", "Yield")
HEADER = re.compile(rf"({'|'.join([*SECTIONS, *OTHER_SECTIONS])}):")
# `    name: text`, `    *args, **kwargs: text`.
ENTRY = re.compile(r"    (\*{0,2}\w+(?:, \*{0,2}\w+)*):(?: |$)")
# Names that continue on the next line.
WRAPPED = re.compile(r"    (\*{0,2}\w+, )*\*{0,2}\w+,")

# In lines, without decorators and with docstrings.
MEDIAN_FUNCTION = 16
LONG_FUNCTION = 50  # At most one function in ten is longer.
LONGEST_LAYER = 250

# Pattern to avoid in code and text -> the replacement.
AVOIDED = {
    r"\b_?mend(s|ed|ing)?\b|_mend\b|\bmend_": "patch, fix, repair",
    r"way_out(?!\")": "hint",
    r"\bwhoever\b": "name the subject",
    r"\banew\b": "again",
    r"\bin vain\b": "without effect",
    r"\bfor want of\b": "without",
}


def where(path, node):
    """Returns the location and the name of a node, for messages."""
    place = f"{os.path.relpath(path, PACKAGE.parent)}:{getattr(node, 'lineno', 1)}"
    return f"{place} {getattr(node, 'name', '')}".rstrip()


def is_public(node):
    return not node.name.startswith("_")


def is_special(node):
    return node.name.startswith("__") and node.name.endswith("__")


def public_classes(tree):
    """Yields the public classes of a module, including nested ones."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and is_public(node):
            yield node
            yield from public_classes(node)


def public_functions(tree):
    """Yields (public function or special method, its public class or None)."""
    yield from ((n, None) for n in tree.body if isinstance(n, FUNCTIONS) and is_public(n))
    for owner in public_classes(tree):
        for node in owner.body:
            if isinstance(node, FUNCTIONS) and (is_public(node) or is_special(node)):
                yield node, owner


def documented(tree):
    """Yields (node, lines of its docstring) of all documented nodes, private ones included."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield node, inspect.cleandoc(text).split("\n")


def sections(lines):
    """Yields (name, lines) of each section of a docstring."""
    heads = [place for place, line in enumerate(lines) if HEADER.fullmatch(line)]
    for head in heads:
        end = head + 1
        while end < len(lines) and (lines[end].startswith(" ") or not lines[end]):
            end += 1
        yield lines[head].rstrip(":"), [line for line in lines[head + 1 : end] if line]


def parameters(function):
    """Returns the ast.arg of every parameter, including *args and **kwargs."""
    a = function.args
    extra = [a.vararg, a.kwarg]
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, extra)]


def is_static(function):
    decorators = {d.id for d in function.decorator_list if isinstance(d, ast.Name)}
    return "staticmethod" in decorators


def undocumented(path, tree):
    nodes = [tree, *public_classes(tree)]
    nodes += [node for node, _ in public_functions(tree) if not is_special(node)]
    return [where(path, node) for node in nodes if not ast.get_docstring(node)]


def unannotated(path, tree):
    found = []
    for function, owner in public_functions(tree):
        first = 1 if owner and not is_static(function) else 0  # Without self or cls.
        missing = [a.arg for a in parameters(function)[first:] if a.annotation is None]
        if function.returns is None:
            missing.append("return")
        if missing:
            found.append(f"{where(path, function)}: {', '.join(missing)}")
    return found


def badly_indented(path, tree):
    found = []
    for node, lines in documented(tree):
        for name, content in sections(lines):
            first = content[0] if content else ""
            right = re.match(r"    \S", first) and all(c.startswith("    ") for c in content)
            if name not in SECTIONS or not right:
                found.append(f"{where(path, node)}: {name}")
    return found


def misnamed(path, tree):
    found = []
    for node, lines in documented(tree):
        known = None if isinstance(node, ast.Module) else parameters_of(node)
        for name, content in sections(lines):
            if name == "Args" and known is not None:
                found += [f"{where(path, node)}: {text}" for text in _misnamed_in(content, known)]
    return found


def _misnamed_in(content, known):
    """Yields the errors in the lines of a section `Args:`."""
    entries = []
    for line in content:
        if entries and WRAPPED.fullmatch(entries[-1]):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    for line in entries:
        entry = ENTRY.match(line)
        if entry:
            unknown = [name for name in entry[1].split(", ") if name.lstrip("*") not in known]
            yield from (f"{name} is not a parameter" for name in unknown)
        elif not line.startswith("     "):
            yield f"{line.strip()[:40]!r} does not name a parameter"


def parameters_of(node):
    """Returns the parameter names of a function or of the constructor of a class.

    None if a class inherits its constructor.
    """
    if isinstance(node, FUNCTIONS):
        return {a.arg for a in parameters(node)}
    inits = [n for n in node.body if isinstance(n, FUNCTIONS) and n.name == "__init__"]
    fields = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign)]
    if not inits:
        return set(fields) or None
    return {a.arg for a in parameters(inits[0])}


def avoided(path, tree):
    del tree
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for pattern, instead in AVOIDED.items():
            match = re.search(pattern, line, re.IGNORECASE)
            if match:
                place = f"{os.path.relpath(path, PACKAGE.parent)}:{number}"
                found.append(f"{place}: {match[0]!r} (instead: {instead})")
    return found


RULES = [undocumented, unannotated, badly_indented, misnamed, avoided]

VIOLATIONS = '''
class Writer:
    """Writes files.

    Args:
      path: the file.
    """

    def __init__(self, path, *parts) -> None:
        """Opens a file.

        Args:
            path, parts: as for open.
            file, mode,
                encoding: as for open.
        """

    def close(self) -> None:
        self.file.close()  # Mended, or closed anew.


def write(text: str, *, mode="w"):
    """Writes a text.

    Return:
        nothing.
    """
'''
EXPECTED = {
    undocumented: [":1", ":18 close"],
    unannotated: [":22 write: mode, return", ":9 __init__: path, parts"],
    badly_indented: [":2 Writer: Args", ":22 write: Return"],
    misnamed: [
        ":2 Writer: 'path: the file.' does not name a parameter",
        *(f":9 __init__: {name} is not a parameter" for name in ("file", "mode", "encoding")),
    ],
    avoided: [
        ":19: 'Mended' (instead: patch, fix, repair)",
        ":19: 'anew' (instead: again)",
    ],
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_violations(rule, tmp_path):
    path = tmp_path / "writer.py"
    path.write_text(VIOLATIONS)
    found = rule(path, ast.parse(VIOLATIONS))
    assert [text.partition("writer.py")[2] for text in found] == EXPECTED[rule]


@pytest.mark.parametrize("rule", RULES)
def test_no_file_violates(rule):
    violations = [text for path, tree in TREES.items() for text in rule(path, tree)]
    assert not violations, f"{len(violations)}:\n" + "\n".join(violations)


def test_functions_are_short():
    nodes = [n for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, FUNCTIONS)]
    lengths = sorted(node.end_lineno - node.lineno + 1 for node in nodes)
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert lengths[len(lengths) * 9 // 10] <= LONG_FUNCTION


def test_layers_are_short_files():
    layers = PACKAGE / "layers"
    lengths = {
        str(p.relative_to(layers)): len(p.read_text().splitlines())
        for p in PATHS
        if layers in p.parents
    }
    assert lengths
    assert not {name for name, length in lengths.items() if length > LONGEST_LAYER}
