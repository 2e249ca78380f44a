"""Paths of users: `~` expands, and what exists under a name is meant by it."""

import os

import pytest

from primer.common import files, user_paths


def test_the_home_directory_is_expanded_except_in_urls(monkeypatch):
    monkeypatch.setenv("HOME", "/home/u")
    assert user_paths.expand("~/runs/a") == "/home/u/runs/a"
    assert user_paths.expand("runs/~") == "runs/~"
    assert user_paths.absolute("~/a/../b*") == "/home/u/b*"
    assert user_paths.absolute("a") == os.path.join(os.getcwd(), "a")
    for url in ("gs://bucket/~/a", "file:///a/../b"):
        assert user_paths.expand(url) == user_paths.absolute(url) == url


@pytest.fixture
def folder(tmp_path):
    for name in ("x[1]/a.txt", "x[1]/sub/b.txt", "x1/a.txt", "x2/a.txt", "notes [draft].txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("notes [draft].txt", ["notes [draft].txt"]),
        ("x[1]/*.txt", ["x[1]/a.txt"]),
        ("x[1]/**/*.txt", ["x[1]/a.txt", "x[1]/sub/b.txt"]),
        ("x[12]/*.txt", ["x1/a.txt", "x2/a.txt"]),
        ("*/a.txt", ["x1/a.txt", "x2/a.txt", "x[1]/a.txt"]),
        ("x1", []),
        ("none*", []),
    ],
)
def test_an_existing_name_is_not_a_pattern(folder, pattern, expected):
    found = sorted(user_paths.local_matches(str(folder / pattern)))
    assert found == [str(folder / name) for name in expected]


def test_a_directory_is_listed_by_its_literal_name(folder):
    assert files.matching_files(str(folder / "x[1]"), r".*\.txt") == [str(folder / "x[1]/a.txt")]
    assert files.matching_files(str(folder / "none"), ".*") == []


def test_a_path_in_a_bucket_is_remote():
    assert user_paths.is_remote("s3://bucket/a.txt") and not user_paths.is_remote("/data/a:b")


def test_a_text_is_opened_locally_or_in_a_bucket(tmp_path):
    for path in (f"{tmp_path}/a.txt", f"file://{tmp_path}/a.txt"):
        (tmp_path / "a.txt").write_text("caf\u00e9\n", encoding="utf-8")
        with user_paths.open_text(path) as text:
            assert text.read() == "caf\u00e9\n"
