"""Findings have the place of the setting, and are the user's own where the user made it."""

import os

import gin
import pytest

from primer.gin_config import config_files, findings, slots


@gin.configurable(module="findings_test")
def found_listener(loud=1):
    return loud


@pytest.fixture
def find(write):
    """A function (text, params): the findings in a file of these lines, and in the parameters."""

    def find_in(text, params=(), name="own.gin"):
        path = write(name, text)
        gin.parse_config_files_and_bindings([path], params, finalize_config=False)
        with gin.config_scope("entered"):
            found_listener()
        settings = findings.provenance.locate_settings([path], params)
        return findings.collect_findings(settings)

    return find_in


def test_each_kind_has_its_reason_in_the_order_of_the_settings(find):
    text = "\nentred/found_listener.loud = 3\nnum_layer = 4\n"
    text += "findings_test.found_unused.size = 5\nfound_listener.loud = 6\n"
    dead = find(text, ["zzz = 1"]).dead
    assert [(f.kind, f.where.rsplit("/", 1)[-1], f.name) for f in dead] == [
        (findings.SCOPE, "own.gin:2", "entred/found_listener.loud"),
        (findings.UNREAD, "own.gin:3", "num_layer"),
        (findings.BINDING, "own.gin:4", "found_unused.size"),
        (findings.UNREAD, "--gin_param", "zzz"),
    ]
    assert dead[0].reason == "no code enters the scope 'entred'; entered: entered"
    assert dead[1].reason.endswith("; did you mean num_layers?")
    assert "num_layers" in slots.declared_names()
    assert str(dead[3]).startswith("--gin_param: zzz takes no effect: ")


@gin.configurable(module="findings_test")
def found_unused(size=1):
    return size


def test_a_setting_of_an_installed_file_is_not_the_users_own(find, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "installed_folders", lambda: [str(tmp_path / "installed")])
    (finding,) = find("found_unused.size = 3\n", name="installed/a.gin").dead
    assert not finding.own
    found = find("found_unused.size = 3\n", name="installed_elsewhere/a.gin")
    assert [f.own for f in found.dead] == [True] and found.own == list(found.dead)


def test_the_configuration_that_a_run_wrote_is_not_the_users_own(find, write):
    (finding,) = find("found_unused.size = 3\n", name="run/config.gin").dead
    assert finding.own
    write("run/primer.json", "{}")
    for name, own in (("config.gin", False), ("operative_config.gin", False), ("mine.gin", True)):
        (finding,) = find("found_unused.size = 3\n", name=f"run/{name}").dead
        assert finding.own == own, name


def test_installed_folders_have_gin_files():
    folders = findings.installed_folders()
    assert folders[0] == os.path.realpath(config_files.gin_directory()) and len(folders) == 3
    for folder in folders:
        assert any(name.endswith(".gin") for name in os.listdir(folder)), folder
    assert os.path.isfile(findings.mesh_tensorflow_defaults())
