"""Commands killed at random instants: nothing is lost, and the last run ends with the same numbers.

Each test runs a command without a kill first, then in fresh directories with kills until it ends,
as often as its number of kills asks for. The instants come from a seed, and from how fast the
machine is.
"""

import dataclasses
import filecmp
import json
import random
import shutil

import pytest

from primer.common.recurrence.carried_state import is_part
from primer.gin_config import config_files
from tests import forked_commands, tiny_text
from tests.optimizers import training_run
from tests.runtime import tiny

pytestmark = pytest.mark.slow

# Together thirty kills, and one for each class of optimizers, which other files only set.
OPTIMIZERS = [n for n in config_files.names_of_kind("optimizers") if "_" not in n]
KILLS = {
    **{"train": 6, "early stop": 3, "mixture": 3, "other data": 3, "memory": 3, "mesh": 3},
    **{"eval": 3, "prepare": 3, "average": 3},
}
KILLS |= {f"optimizer {name}": 1 for name in OPTIMIZERS}

TEXT = ("--eval_every", 4, "--seed", 1, "--gin_param", "precision.activation_dtype = 'float32'")
MIXTURE = (
    *("--task", "mixture", "--gin_file", "datasets/mixture.gin", "--gin_param"),
    "mixture.tasks = [('text', 2.0), ('sotu', 1.0)]",
)
MEMORY = (
    *("--gin_file", "objectives/lm_stream.gin", "--gin_param", "memory_length = 20"),
    *("--gin_param", "carry_memory = True"),
)
# What training does around the optimizer, too.
AROUND = [word for binding in training_run.WRAPPED for word in ("--gin_param", binding)]


@dataclasses.dataclass
class Machine:
    """What all tests share: the process that forks, the texts, and a trained directory."""

    commands: forked_commands.Commands
    folder: object
    texts: object

    def run(self, *words):
        """Runs a command to its end; returns the seconds it took."""
        code, seconds = self.commands.run(*words)
        assert code == 0, (self.folder / "log").read_text()[-3000:]
        return seconds

    def with_kills(self, kills, seconds, start, words, check_killed, check_ended):
        """Runs a command with kills until it ends, in as many directories as `kills` asks for.

        Args:
            kills: the least number of kills.
            seconds: what the command takes without a kill.
            start: a function of a number that returns a fresh directory.
            words: a function of the directory that returns the command.
            check_killed: a function of the directory, called after each kill.
            check_ended: a function of the directory, called when the command has ended.
        """
        instants, number = random.Random(0), 0
        while kills > 0:
            directory = start(number)
            code, number = None, number + 1
            # A directory gets at most four kills, so that the last run is not always the shortest.
            for _ in range(4):
                after = instants.uniform(0.2, 1.0) * seconds
                code, _ = self.commands.run(*words(directory), kill_after=after)
                assert code in (None, 0), (self.folder / "log").read_text()[-3000:]
                if code == 0:
                    break
                kills -= 1
                check_killed(directory)
            if code is None:
                self.run(*words(directory))
            check_ended(directory)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    for name in ("texts", "others"):
        (folder / name).mkdir()
    texts = tiny_text.write(folder / "texts")
    for n in range(30):
        (folder / "others" / f"{n}.txt").write_text(f"{n} is not {n + 1}, and so on.\n" * 20)
    with forked_commands.Commands(folder / "log") as commands:
        yield Machine(commands, folder, texts)


def train_words(machine, model_dir, *more):
    return tiny_text.train_words(machine.texts, model_dir, "--steps", 12, *TEXT, *more)


def rows(model_dir):
    """Returns {step: row} of the evaluations in a directory, without what a clock measured."""
    found = {}
    for path in (model_dir / "eval").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            for key in ("evaluation_seconds", "model_dir"):
                row.pop(key)
            found.setdefault(path.name, {})[row["step"]] = row
    return found


def best(model_dir):
    path = model_dir / "best" / "best.json"
    found = json.loads(path.read_text()) if path.exists() else {"step": -1, "nats_per_token": None}
    return found["step"], found["nats_per_token"]


def latest_step(model_dir):
    from primer.checkpoints import checkpoint_files

    path = checkpoint_files.latest_checkpoint(str(model_dir)) if model_dir.exists() else None
    if path is None:
        return -1
    checkpoint_files.check_whole(path)
    return checkpoint_files.step_of(path)


def check_training(machine, kind, begin, more):
    """Kills a training that `begin` (a function of a directory, or None) has begun."""
    reference = machine.folder / kind.replace(" ", "_")
    if begin:
        begin(reference)
    seconds = machine.run(*train_words(machine, reference, *more))
    end = latest_step(reference)
    last = {}

    def start(number):
        directory = reference.with_name(f"{reference.name}_{number}")
        if begin:
            begin(directory)
        last[directory] = (latest_step(directory), best(directory)[0])
        return directory

    def check_killed(directory):
        now = (latest_step(directory), best(directory)[0])
        assert all(a >= b for a, b in zip(now, last[directory], strict=True)), (now, last)
        last[directory] = now

    def check_ended(directory):
        assert latest_step(directory) == end
        tiny.assert_equal_variables(*(tiny.variables(d, end) for d in (reference, directory)))
        assert rows(directory) == rows(reference)
        assert best(directory) == best(reference)

    machine.with_kills(
        KILLS[kind],
        seconds,
        start,
        lambda directory: train_words(machine, directory, *more),
        check_killed,
        check_ended,
    )


def test_training_with_validation(machine):
    check_training(machine, "train", None, ())


def test_training_that_ends_early(machine):
    """Of the losses at steps 2, 4, 6 and 8 none is lower than the first by 9."""
    patience = ("--eval_every", 2, "--early_stop", 3, "--gin_param")
    check_training(machine, "early stop", None, (*patience, "validation.min_improvement = 9.0"))
    assert latest_step(machine.folder / "early_stop") == 8


def test_training_on_a_mixture(machine):
    check_training(machine, "mixture", None, MIXTURE)


def test_training_with_memory(machine):
    """The memory of the rows is saved with the position of their text."""
    check_training(machine, "memory", None, MEMORY)
    memory = {name for name in tiny.variables(machine.folder / "memory", 12) if is_part(name)}
    assert len(memory) == 4


def test_training_on_a_mesh(machine):
    """Two devices have a slice of each weight; a thread writes a checkpoint at every step."""
    mesh = ("mesh_shape.shape = 'model:2'", "utils.run.save_checkpoints_steps = 1")
    words = [word for binding in mesh for word in ("--gin_param", binding)]
    check_training(machine, "mesh", None, words)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_with_every_optimizer(machine, name):
    optimizer = ("--gin_file", f"optimizers/{name}.gin")
    check_training(machine, f"optimizer {name}", None, (*optimizer, *AROUND))


def test_resuming_with_other_data(machine):
    trained = machine.folder / "six_steps"
    machine.run(*tiny_text.train_words(machine.texts, trained, "--steps", 6, *TEXT))
    glob = ("--gin_param", f"text_files.glob = '{machine.folder}/others/*.txt'")
    check_training(machine, "other data", lambda to: shutil.copytree(trained, to), glob)


@pytest.fixture(scope="module")
def trained(machine):
    """A directory with checkpoints and no evaluation."""
    directory = machine.folder / "trained"
    machine.run(*tiny_text.train_words(machine.texts, directory, "--steps", 12))
    return directory


def test_evaluation(machine, trained):
    def words(directory):
        return ("eval", "--model_dir", directory, "--keep_best", "--batch_size", 1)

    def start(number):
        return shutil.copytree(trained, machine.folder / f"eval_{number}")

    reference = start("whole")
    seconds = machine.run(*words(reference))
    kept = {}

    def check_killed(directory):
        now = rows(directory)
        assert all(
            now[name][step] == row
            for name in kept.get(directory, {})
            for step, row in kept[directory][name].items()
        )
        kept[directory] = now

    def check_ended(directory):
        assert rows(directory) == rows(reference)
        assert best(directory) == best(reference)

    machine.with_kills(KILLS["eval"], seconds, start, words, check_killed, check_ended)


def equal_folders(first, second):
    """Returns whether two folders have the same files with the same bytes, but for locks."""
    compared = filecmp.dircmp(first, second, ignore=["in_use.lock"])
    names = compared.left_only + compared.right_only + compared.funny_files
    _, differ, failed = filecmp.cmpfiles(first, second, compared.common_files, shallow=False)
    return not (names + differ + failed) and all(
        equal_folders(first / name, second / name) for name in compared.common_dirs
    )


def test_preparation(machine):
    def words(directory):
        vocabulary = ("--gin_param", "task_vocabulary.name = 'bytes'")
        texts = ("--input", f"{machine.texts}/*.txt", "--workers", 2, "--shards", 8)
        return ("data", "prepare", *texts, *vocabulary, "--output", directory)

    reference = machine.folder / "prepared"
    seconds = machine.run(*words(reference))

    def check_killed(directory):
        assert not (directory / "text" / "COMPLETED").exists() or (
            equal_folders(reference, directory)
        )

    def check_ended(directory):
        assert equal_folders(reference, directory)

    def start(number):
        return machine.folder / f"prepared_{number}"

    machine.with_kills(KILLS["prepare"], seconds, start, words, check_killed, check_ended)


def test_averaging(machine, trained):
    def words(output):
        return ("average", "--model_dir", trained, "--last", 3, "--output", output)

    reference = machine.folder / "average"
    seconds = machine.run(*words(reference))
    before = sorted(path.name for path in trained.iterdir())

    def check_killed(output):
        if output.exists():  # It is whole then, and the command ends with a refusal.
            check_ended(output)
            shutil.rmtree(output)

    def check_ended(output):
        tiny.assert_equal_variables(*(tiny.variables(d, 12) for d in (reference, output)))
        assert sorted(path.name for path in trained.iterdir()) == before

    def start(number):
        return machine.folder / f"average_{number}"

    machine.with_kills(KILLS["average"], seconds, start, words, check_killed, check_ended)
