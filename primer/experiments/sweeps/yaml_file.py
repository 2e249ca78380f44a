"""YAML files as plain data, with the scalars of YAML 1.2 and no key twice.

PyYAML reads YAML 1.1, in which `1e-4` is a text, `no` is False, `010` is 8 and `1:30` is 90.
"""

import re
from typing import Any

import yaml

from primer.errors import UsageError

_TAG = "tag:yaml.org,2002:"
# Kind -> (pattern of a plain scalar, its first characters); the first that matches decides.
_SCALARS: dict[str, tuple[str, str]] = {
    "null": (r"~|null|Null|NULL|", "~nN"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which constructs plain data only, with the rules above."""

    yaml_implicit_resolvers: dict[str, list] = {}

    def construct_mapping(self, node, deep=False):
        own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in own if own.count(name) > 1 and name != "<<"), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} is there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)

    def decimal(self, node):
        return int(node.value)


for _kind, (_pattern, _first) in _SCALARS.items():
    _characters = [*_first, ""] if _kind == "null" else list(_first)
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _characters)
_Loader.add_constructor(f"{_TAG}int", _Loader.decimal)


def read(path: str) -> Any:
    """Returns the content of a YAML file.

    Raises:
        UsageError: the file cannot be read, or is not YAML of one document; the line is named.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.load(file, _Loader)  # A SafeLoader: it constructs plain data only.
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML that can be read: {_reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not YAML that can be read: {_first_line(error)}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _reason(error: yaml.YAMLError) -> str:
    """Returns what is wrong, and the line."""
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    problem = " ".join(filter(None, parts)) or _first_line(error)
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1})" if mark else problem


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
