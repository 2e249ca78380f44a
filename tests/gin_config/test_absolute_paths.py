"""Paths of data are absolute in gin's configuration when a run begins."""

import os

import gin
import pytest

from primer.common import path_settings
from primer.gin_config import absolute_paths


@gin.configurable(module="tests.absolute_paths")
def records_of_test(folder=None, files=None, kind=None):
    return folder, files, kind


path_settings.declare("records_of_test.folder", "records_of_test.files")


@pytest.mark.parametrize(
    "binding, values",
    [
        ("records_of_test.folder = 'a/../b'", ["/w/b", None, None]),
        ("records_of_test.files = ['x*', '/y', '~/z']", [None, ["/w/x*", "/y", "/home/u/z"], None]),
        ("records_of_test.folder = 'gs://b/a'", ["gs://b/a", None, None]),
        ("records_of_test.kind = 'a/b'", [None, None, "a/b"]),
        ("FOLDER = %HERE\nHERE = 'a'\nrecords_of_test.folder = %FOLDER", ["/w/a", None, None]),
        ("records_of_test.folder = None", [None, None, None]),
    ],
)
def test_declared_settings_become_absolute(binding, values, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setattr(os, "getcwd", lambda: "/w")
    gin.parse_config(binding)
    gin.finalize()
    absolute_paths.make_absolute()
    assert list(records_of_test()) == values
    gin.clear_config()


def test_every_scope_is_made_absolute():
    gin.parse_config("records_of_test.folder = '/a'\ntrain/records_of_test.folder = 'b'")
    absolute_paths.make_absolute()
    with gin.config_scope("train"):
        assert records_of_test()[0] == os.path.abspath("b")
    assert "train/records_of_test.folder = 'b'" not in gin.config_str()


def test_the_settings_of_data_are_declared():
    import primer.data.tasks  # noqa: F401
    import primer.runtime.engine  # noqa: F401

    assert set(path_settings.declared()) >= {
        "text_files.glob",
        "local_data.folder",
        "task_vocabulary.model_file",
        "gpt_neo_records.glob",
        "gpt_neo_records.validation_glob",
        "utils.run.init_checkpoint",
    }
