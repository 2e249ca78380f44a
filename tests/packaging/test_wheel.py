"""What the wheel contains: packages, gin files, data, the command, and the start-up hook."""

import base64
import csv
import email
import hashlib
import zipfile

import primer
from tests.packaging.source_tree import ROOT

HOOK_FILE = "primer_compatibility.pth"


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read(wheel, ending):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name)


def test_every_module_and_every_gin_file_is_in_the_wheel(wheel):
    found = set(names(wheel))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "primer").rglob("*.py")}
    gin = {
        "primer/configs/" + str(path.relative_to(ROOT / "gin"))
        for path in (ROOT / "gin").rglob("*.gin")
    }
    assert len(modules) > 20 and len(gin) > 20
    assert modules | gin | {"t5_imports.py"} <= found


def test_the_embedded_vocabulary_is_in_the_wheel(wheel):
    models = {str(path.relative_to(ROOT)) for path in (ROOT / "primer").rglob("*.model")}
    assert models and models <= set(names(wheel))


def test_nothing_else_is_in_the_wheel(wheel):
    tops = {name.split("/")[0] for name in names(wheel)}
    info = f"primer-{primer.__version__}.dist-info"
    assert tops == {"primer", "t5_imports.py", HOOK_FILE, info}
    assert not [name for name in names(wheel) if "__pycache__" in name]


def test_gin_never_becomes_a_package(wheel):
    """A package named gin would shadow gin-config."""
    assert not list((ROOT / "gin").rglob("*.py"))
    assert not [n for n in names(wheel) if n.startswith(("gin/", "primer/configs/__init__"))]


def test_both_kinds_of_wheel_contain_the_hook_and_record_it(wheel, editable_wheel):
    content = read(wheel, HOOK_FILE)
    assert content == read(editable_wheel, HOOK_FILE)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    for built in (wheel, editable_wheel):
        rows = {row[0]: row[1:] for row in csv.reader(read(built, "RECORD").decode().splitlines())}
        assert rows[HOOK_FILE] == [f"sha256={digest}", str(len(content))]
        assert set(rows) == set(names(built))


def test_the_editable_wheel_is_one_path_without_an_import_hook_of_setuptools(
    editable_wheel, sources
):
    """Setuptools' hook would slow down every start of an interpreter by 20 ms."""
    top = [name for name in names(editable_wheel) if "/" not in name]
    assert sorted(top) == [f"__editable__.primer-{primer.__version__}.pth", HOOK_FILE]
    assert read(editable_wheel, top[0] if top[0] != HOOK_FILE else top[1]).decode().split() == [
        str(sources)
    ]


def test_metadata(wheel):
    metadata = email.message_from_bytes(read(wheel, "dist-info/METADATA"))
    assert metadata["Name"] == "primer"
    assert metadata["Version"] == primer.__version__
    assert metadata["Requires-Python"] == ">=3.10,<3.14"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Provides-Extra") == [
        *("tpu", "gpu", "beam", "lm-eval", "auto-layout", "ray", "huggingface", "wandb"),
        *("test", "lint"),
    ]
    assert b"Apache License" in read(wheel, "LICENSE")
    assert b"primer = primer.cli:main" in read(wheel, "entry_points.txt")
