"""The same shards by Apache Beam, with several workers; needs the extra `beam`."""

import pathlib

import gin
import pytest

from primer.commands.data import prepare_worker
from primer.data.prepared import beam, plan, pool, prepare
from primer.errors import RunError, UsageError
from tests.data import parsing

PROCESSES = "--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"
MESSAGE = "needs apache-beam: pip install 'primer[beam]', in a separate environment"


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).glob("*-of-*"))}


@pytest.fixture
def corpus(tmp_path):
    """A folder of four files of lines."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number in range(4):
        lines = (f"file {number}, line {line}\n" for line in range(300))
        (folder / f"{number}.txt").write_text("".join(lines))
    return folder


@pytest.mark.slow
def test_several_workers_write_the_same_bytes(corpus, tmp_path):
    pytest.importorskip("apache_beam", reason=MESSAGE)
    words = ["--input", corpus / "*.txt", "--unit", "line", "--shards", "3", "--held_out", "0.1"]
    beamed = [*words, "--output", tmp_path / "beam", "--pipeline_options", PROCESSES]
    assert parsing.run("prepare", beamed) == 0
    assert parsing.run("prepare", [*words, "--output", tmp_path / "pool", "--workers", "1"]) == 0
    assert files(tmp_path / "beam" / "text") == files(tmp_path / "pool" / "text")
    assert len(files(tmp_path / "beam" / "text")) == 12
    one = (tmp_path / "beam" / "text" / "primer.json").read_text()
    assert one == (tmp_path / "pool" / "text" / "primer.json").read_text()


def test_an_error_of_a_worker_is_one_line(corpus, tmp_path):
    """The file is damaged after the checks of the plan."""
    pytest.importorskip("apache_beam", reason=MESSAGE)
    gin.bind_parameter("text_files.glob", str(corpus / "*.txt"))
    made = plan.make_plan("text", str(tmp_path / "out"), shards=2)
    content = (corpus / "2.txt").read_bytes()
    (corpus / "2.txt").write_bytes(content[:-3] + b"\xff" + content[-2:])

    def write(begun):
        beam.write_shards(
            begun.plan, begun.remaining, ["--runner=DirectRunner"], lambda values: None
        )

    with pytest.raises(UsageError, match="2.txt is not UTF-8") as error:
        prepare.prepare(made, write)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "text" / "COMPLETED").exists()
    (corpus / "2.txt").write_bytes(content)
    prepare.prepare(made, lambda b: pool.write_shards(b.plan, b.remaining, 1, None, print, print))
    assert (tmp_path / "out" / "text" / "COMPLETED").exists()


def test_without_beam_the_error_names_the_extra(corpus, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "apache_beam", None)
    gin.bind_parameter("text_files.glob", str(corpus / "*.txt"))
    made = plan.make_plan("text", str(tmp_path / "out"), shards=2)
    with pytest.raises(UsageError, match=r"pip install 'primer\[beam\]'.*--workers"):
        beam.write_shards(made, [0, 1], ["--runner=DirectRunner"], prepare_worker.start_worker)


@pytest.mark.parametrize(
    "text, kind, message",
    [
        (
            "primer.errors.UsageError: a.txt is not UTF-8 [while running 'write']",
            UsageError,
            "a.txt is not UTF-8",
        ),
        ("Traceback...\\nprimer.errors.RunError: no space left\\nat x", RunError, "no space left"),
        ("first line\nValueError: lost worker", RunError, "failed (ValueError: lost worker)"),
    ],
)
def test_beams_text_around_an_error_is_removed(text, kind, message):
    """Beam raises another error, whose text contains that of the worker."""
    error = beam._failure(plan.Plan("text", "out"), ValueError(text))
    assert type(error) is kind and message in str(error) and "\n" not in str(error)
