"""Files of sweeps as plain data: YAML 1.2's scalars, and what is refused."""

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps import yaml_file


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-4", 1e-4),
        ("-2E3", -2000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("-3", -3),
        ("true", True),
        ("~", None),
        ("''", ""),
        # Other values, or dates and sexagesimal numbers, of YAML 1.1.
        *((text, text) for text in ("no", "on", "1:30", "2024-01-01", "1_000", "0x1f", "@MDHA2")),
        ("'1e-4'", "1e-4"),
        ("[1, {a: 2}]", [1, {"a": 2}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value, write):
    quoted = f"'{text}'" if text.startswith("@") else text
    found = yaml_file.read(write("a.yaml", f"key: {quoted}\n"))["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1", "expected ',' or ']'"),
        ("a: 1\nb: 2\na: 3\n", "the key 'a' is there twice (line 1)"),
        ("a: @MDHA\n", "line 1"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("\x00", "is not YAML"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text, message, write):
    path = write("a.yaml", text)
    with pytest.raises(UsageError) as error:
        yaml_file.read(path)
    assert path in str(error.value) and message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nowhere.yaml cannot be read: No such file"):
        yaml_file.read(str(tmp_path / "nowhere.yaml"))
