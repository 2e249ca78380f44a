"""The folder of gin files, and names of files, existing and unknown."""

import importlib.util
import os
import shutil

import pytest

from primer.errors import UsageError
from primer.gin_config import config_files


def installed(tmp_path, with_configs):
    """The module as it lies in site-packages, beside gin-config's own folder `gin`."""
    package = tmp_path / "primer"
    (tmp_path / "gin").mkdir()
    (tmp_path / "gin" / "__init__.py").touch()
    (package / "gin_config").mkdir(parents=True)
    if with_configs:
        shutil.copytree(config_files.gin_directory(), package / "configs")
    path = package / "gin_config" / "config_files.py"
    shutil.copy(config_files.__file__, path)
    spec = importlib.util.spec_from_file_location("installed_config_files", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_checkout_has_its_files_beside_the_package():
    folder = config_files.gin_directory()
    assert os.path.isfile(os.path.join(folder, "defaults.gin"))
    assert not os.path.exists(os.path.join(folder, "__init__.py")), "it would shadow gin-config"


def test_an_installed_package_has_its_files_inside(tmp_path):
    module = installed(tmp_path, with_configs=True)
    assert module.gin_directory() == str(tmp_path / "primer" / "configs")
    assert "small_primer" in module.names_of_kind("models")


def test_a_missing_folder_is_one_error(tmp_path):
    module = installed(tmp_path, with_configs=False)
    with pytest.raises(UsageError, match="gin files are missing.*install the package again"):
        module.gin_directory()


def test_a_model_is_its_defaults_and_its_file():
    assert config_files.published_model_files("small_primer") == [
        "models/defaults.gin",
        "models/small_primer.gin",
    ]


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="models: no 'smal_primer'.*small_{.*, primer, "):
        config_files.published_model_files("smal_primer")


@pytest.mark.parametrize(
    "parts, kind",
    [
        (("prime", "relu", "tiny"), "architectures"),
        (("primer", "rel", "tiny"), "activations"),
        (("primer", "relu", "huge"), "sizes"),
    ],
)
def test_an_unknown_part_is_refused_with_the_known_ones(parts, kind):
    with pytest.raises(UsageError, match=f"{kind}: no .*{config_files.names_of_kind(kind)[0]}"):
        config_files.composition_files(*parts)


def test_a_name_may_be_of_a_folder_in_a_kind():
    """They are left out of the names of the kind: tests build every architecture with each."""
    assert config_files.gin_file("sizes", "gpt2_124m") == "sizes/published/gpt2_124m.gin"
    assert "gpt2_124m" not in config_files.names_of_kind("sizes")
    assert "gpt2_124m" in config_files.names_of_kind("sizes/published")
    with pytest.raises(UsageError, match="sizes: no 'gpt2'; expected one of .*small.*gpt2_{124m"):
        config_files.gin_file("sizes", "gpt2")


@pytest.mark.parametrize(
    "path, kind",
    [
        (f"{config_files.gin_directory()}/sizes/small.gin", "sizes"),
        (f"{config_files.gin_directory()}/sizes/published/gpt2_124m.gin", "sizes"),
        (f"{config_files.gin_directory()}/defaults.gin", None),
        ("/home/me/sizes/mine.gin", "sizes"),
        ("/home/me/sizes/published/mine.gin", None),
        ("gs://bucket/models/mine.gin", "models"),
        ("mine.gin", None),
    ],
)
def test_the_kind_of_a_file_is_its_folder(path, kind):
    assert config_files.kind_of(path) == kind


@pytest.mark.parametrize(
    "names, text",
    [
        (["gpt2_124m", "gpt2_355m", "small_primer"], "gpt2_{124m, 355m}, small_primer"),
        (["a", "a_b", "a_c_d", "e", "f", "f_g"], "a, a_{b, c_d}, e, f, f_g"),
        (["l_10m", "l_1_3b", "l_1b", "l_3m"], "l_{3m, 10m, 1b, 1_3b}"),
        (
            ["gpt3_13b", "gpt_neo_125m", "gpt_neo_2_7b", "gpt_neo_gpt3_2_7b_256", "small"],
            "gpt3_13b, gpt_neo_{125m, 2_7b, gpt3_2_7b_256}, small",
        ),
        ([], ""),
    ],
)
def test_names_with_the_same_beginning_share_it(names, text):
    assert config_files.short_list(names) == text


def test_an_unknown_size_is_a_line_with_the_sizes_of_each_family():
    with pytest.raises(UsageError, match="sizes: no 'huge'; expected one of demo, ladder") as error:
        config_files.gin_file("sizes", "huge")
    assert "ladder_{3m, 10m, 25m" in str(error.value) and "gpt2_{124m, 355m" in str(error.value)
    assert len(str(error.value)) < 600


def test_every_name_is_a_file():
    for kind in config_files.kinds():
        for name in config_files.names_of_kind(kind):
            path = os.path.join(config_files.gin_directory(), config_files.gin_file(kind, name))
            assert os.path.isfile(path)


def test_no_name_is_the_defaults_file():
    assert "defaults" not in config_files.names_of_kind("models")
    assert config_files.names_of_kind("no_such_kind") == []
