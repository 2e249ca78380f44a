"""Which gin files of a model directory are read: those that run no code but Primer's."""

import pytest

from primer.errors import UsageError
from primer.gin_config import trust

HARMLESS = """
import mesh_tensorflow.optimize
import primer.data.train_rows  # A name of an earlier version.
import t5_imports
from t5.data import preprocessors
include "sizes/tiny.gin"
d_model = 16
utils.run.model_dir = "/anywhere"
"""


def check(tmp_path, text, *trusted):
    path = tmp_path / "config.gin"
    path.write_text(text)
    trust.check_config(str(path), trusted)


def test_primers_packages_and_gin_files_are_trusted(tmp_path):
    check(tmp_path, HARMLESS)


@pytest.mark.parametrize(
    "line, name",
    [
        ("from __gin__ import dynamic_registration", "__gin__.dynamic_registration"),
        ("import subprocess", "subprocess"),
        ("from os import path", "os.path"),
        ("import primer.__main__", "primer.__main__"),
        ("import primer_layers", "primer_layers"),
        ("import my.layers as primer", "my.layers"),
        ('include "../other.gin"', "../other.gin"),
        ('include "/tmp/other.gin"', "/tmp/other.gin"),
        ('include "own.gin"', "own.gin"),
    ],
)
def test_everything_else_is_named_with_its_line_and_needs_agreement(tmp_path, line, name):
    (tmp_path / "own.gin").write_text("import subprocess\n")
    with pytest.raises(UsageError) as raised:
        check(tmp_path, f"d_model = 16\n{line}\n")
    assert "config.gin, line 2" in str(raised.value)
    assert f"add --trust {name} " in str(raised.value)
    check(tmp_path, f"d_model = 16\n{line}\n", name)
    with pytest.raises(UsageError):
        check(tmp_path, f"d_model = 16\n{line}\n", name[:-1])


def test_a_package_covers_its_modules(tmp_path):
    check(tmp_path, "import my.layers.attention\n", "my.layers")
    with pytest.raises(UsageError, match="'my.other'"):
        check(tmp_path, "import my.layers.attention\nimport my.other\n", "my.layers")


def test_a_file_that_is_not_gin_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match="config.gin is not a gin file"):
        check(tmp_path, "import \x00 = (\n")
