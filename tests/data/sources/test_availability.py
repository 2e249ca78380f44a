"""Availability of lists and folders of local files, and of buckets, without opening a file."""

from primer.data.sources import availability
from primer.data.sources.availability import Availability


def test_a_list_of_files_is_here_in_part_or_missing(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"123")
    paths = [str(first), str(second)]
    assert availability.of_files(paths, "place", "copy it") == Availability(
        "in part", "place", 3, "copy it"
    )
    second.write_bytes(b"45")
    assert availability.of_files(paths, "place", "copy it") == Availability("here", "place", 5)
    # The splits of one file: its size counts once.
    assert availability.of_files([str(first)] * 3, "place", "").bytes == 3
    assert availability.of_files([None], "place", "copy it").state == "missing"
    assert availability.of_files([], "place", "copy it").state == "missing"


def test_a_folder_is_the_list_of_its_files(tmp_path):
    missing = Availability("missing", f"{tmp_path}/none", 0, "install it")
    assert availability.of_folder(f"{tmp_path}/none", "install it") == missing
    (tmp_path / "a").write_bytes(b"123")
    assert availability.of_folder(str(tmp_path), "") == Availability("here", str(tmp_path), 3)


def test_a_bucket_is_not_looked_at():
    assert availability.of_folder("gs://bucket/data", "") == Availability(
        "not looked at", "gs://bucket/data"
    )
