"""Each binding has the file and line where gin read it, through includes and search paths."""

import os

import gin
import pytest

from primer.gin_config import config_files, gin_state, provenance
from tests import gin_models

GIN = config_files.gin_directory()


@gin.configurable(module="gin_sources_test")
def located_listener(loud=1, soft=2):
    return loud, soft


LOUD = ("", "gin_sources_test.located_listener", "loud")


def macro(name):
    return (name, "gin.macro", "value")


def where(names, params=()):
    found = provenance.settings_in_force(provenance.locate_settings(names, params))
    return {key: setting.where for key, setting in found.items()}


def test_file_and_line_of_each_statement(write):
    text = "# A comment.\n\nlocated_listener.loud = 3\nsize = [\n  1,\n  2,\n]\n"
    path = write("a.gin", text + "a/located_listener.loud = %size\n")
    assert where([path]) == {
        LOUD: f"{path}:3",
        macro("size"): f"{path}:4",
        ("a", *LOUD[1:]): f"{path}:8",
    }


def test_the_lines_of_a_block(write):
    path = write("a.gin", "located_listener:\n  loud = 3\n  soft = 4\n")
    assert where([path])[LOUD] == f"{path}:2"


def test_an_include_is_read_at_its_line(write):
    inner = write("inner.gin", "size = 1\nwidth = 1\n")
    outer = write("outer.gin", f'width = 2\ninclude "{inner}"\nsize = 3\n')
    assert where([outer]) == {macro("width"): f"{inner}:2", macro("size"): f"{outer}:3"}
    (first, *_) = provenance.locate_settings([outer])
    included = provenance.locate_settings([outer])[1]
    assert [file.name for file in first.files] == [outer]
    assert [file.name for file in included.files] == [outer, inner]


def test_the_last_statement_of_a_key_is_in_force_and_params_come_last(write):
    one, two = write("one.gin", "size = 1\nwidth = 1\n"), write("two.gin", "\nsize = 2\n")
    assert where([one, two])[macro("size")] == f"{two}:2"
    found = where([one, two], ["width = 3", "gin_sources_test.located_listener.loud = 1"])
    assert found[macro("width")] == found[LOUD] == "--gin_param"
    assert where([two, one])[macro("size")] == f"{one}:1"


def test_the_keys_are_those_that_gin_has_bound(write):
    files = [
        *config_files.composition_files("primer", "swiglu", "tiny"),
        "dataset.gin",
        "run/smoke.gin",
    ]
    gin_models.parse(files, ["located_listener.soft = 5"])
    mesh = gin_models.package_folder("mesh_tensorflow", "transformer", "gin", "defaults.gin")
    bound = {
        (scope, selector, parameter)
        for (scope, selector), parameters in gin.config._CONFIG.items()
        for parameter in parameters
    }
    assert set(where([mesh, *files], ["located_listener.soft = 5"])) == bound


def test_a_relative_name_is_found_as_gin_finds_it(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gin_state.find_file("sizes/tiny.gin")[0] == os.path.join(GIN, "sizes/tiny.gin")
    write("sizes/tiny.gin", "d_model = 7\n")
    assert gin_state.find_file("sizes/tiny.gin")[0] == "sizes/tiny.gin"
    gin.parse_config_file("sizes/tiny.gin")
    assert gin.query_parameter("%d_model") == 7
    assert gin_state.find_file("dataset.gin")[0] == os.path.join(gin_models.t5_gin(), "dataset.gin")


def test_a_missing_file_is_an_error():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.gin"):
        provenance.locate_settings(["nowhere.gin"])


def test_installed_files_are_distinguished_from_the_users(write, tmp_path):
    path = write("gin_of_mine/a.gin", 'include "sizes/tiny.gin"\nsize = 1\n')
    found = provenance.settings_in_force(provenance.locate_settings([path], ["width = 1"]))
    assert found[macro("d_model")].is_installed([GIN])
    assert not found[macro("size")].is_installed([GIN])
    assert not found[macro("size")].is_installed([str(tmp_path / "gin_of")])
    assert not found[macro("width")].is_installed([GIN])


def test_the_kind_of_a_file_is_its_folder(write):
    mine = write("sizes/mine.gin", "d_model = 1\n")
    other = write("notes/other.gin", "d_model = 1\n")
    files = ["architectures/primer.gin", mine, other]
    kinds = [provenance.locate_settings([name])[0].files[-1].kind for name in files]
    assert kinds == ["architectures", "sizes", None]
