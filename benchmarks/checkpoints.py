"""What a checkpoint costs: seconds for which training stops, and memory of the host.

    .venv/bin/python benchmarks/checkpoints.py [--size small] [--steps 24]

Trains a Transformer with AdamW, on one device and on a 2x2 mesh of this processor. Two ways of
saving take turns in one run: that of Mesh-TF, which copies all slices to whole masters, checks them
and writes them while training waits; and that of Primer, which takes the slices and lets a thread
check and write them. "Stopped" is the time in which no step can run; "lost" is the time from one
save to the next beyond the steps' own, with what the thread takes from them. The peak of memory is
of a process that saves in one way only; with Mesh-TF's it initializes and keeps the masters, as
Mesh-TF does. Writes a dated markdown file to `benchmarks/results/`.
"""

import argparse
import datetime
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

MESHES = {"one device": "", "2x2": "batch:2,model:2"}
STOCK, BACKGROUND = "Mesh-TF", "background"
EVERY = 6


def patch_saving(ways: list[str], record: dict[str, Any]) -> None:
    """Lets the ways of saving take turns, and records their seconds and the steps'."""
    import tensorflow.compat.v1 as tf

    from primer.checkpoints import finite_values, variable_slices
    from primer.runtime.training import loop
    from primer.runtime.training.saving.checkpoint_writer import CheckpointWriter

    start, init, run_step = (
        CheckpointWriter.start,
        CheckpointWriter.__init__,
        loop.TrainingRun._run_step,
    )
    from_hooks = CheckpointWriter.from_hooks.__func__
    copies: list[Any] = []

    def with_copies(cls, model_dir, hooks, *args):
        for hook in hooks:
            copies.extend(getattr(hook, "_listeners", ()))
        return from_hooks(cls, model_dir, hooks, *args)

    def with_check(self, *args):
        init(self, *args)
        self.checked = [
            tf.reduce_all(tf.is_finite(v)) for v in finite_values.floating(tf.global_variables())
        ]
        self.masters = variable_slices.of_graph()
        if STOCK in ways:
            self.initialize = tf.group([m.initializer for s in self.masters for m in s.masters])

    def stock_save(self, sess, step):
        for listener in copies:
            listener.before_save(sess, step)
        assert all(sess.run(self.checked))
        self.position.save(sess, step)
        path = self._saver.save(
            sess, f"{self.model_dir}/model.ckpt", global_step=step, write_state=False
        )
        self._retention.add(path)
        self.last_path, self.last_step = path, step

    def timed(self, sess, step):
        way = ways[step // EVERY % len(ways)]
        if step == 0 and ways[0] == STOCK and self.masters:
            sess.run(self.initialize)
        if step == self.last_step:
            return
        began = time.monotonic()
        (stock_save if way == STOCK else start)(self, sess, step)
        record["saves"].append((step, way, began, time.monotonic()))

    def timed_step(self, *args):
        values = run_step(self, *args)
        record["steps"].append(time.monotonic())
        return values

    CheckpointWriter.from_hooks = classmethod(with_copies)
    CheckpointWriter.__init__ = with_check
    CheckpointWriter.start = timed
    loop.TrainingRun._run_step = timed_step


def child(options: argparse.Namespace) -> None:
    """Trains once and prints what was recorded as JSON."""
    from primer.runtime import import_hook

    import_hook.install()
    from primer.launch import engine, train

    record: dict[str, Any] = {"saves": [], "steps": []}
    patch_saving(options.ways, record)
    folder = pathlib.Path(tempfile.mkdtemp(dir=options.folder))
    (folder / "text.txt").write_text(
        "".join(f"{n} times {n} is {n * n}.\n\n" for n in range(20_000))
    )
    run = train.TrainingRun(
        model=train.ModelChoice(architecture="transformer", activation="relu", size=options.size),
        model_dir=str(folder / "model"),
        task="text",
        steps=options.steps,
        gin_file=["optimizers/adamw.gin"],
        gin_param=[
            f"text_files.glob = '{folder}/text.txt'",
            "task_vocabulary.name = 'sotu'",
            "utils.run.batch_size = 4",
            "utils.run.sequence_length = {'inputs': 1, 'targets': 64}",
            f"utils.run.save_checkpoints_steps = {EVERY}",
            "utils.run.keep_checkpoint_max = 2",
            "precision.activation_dtype = 'float32'",
            f"mesh_shape.shape = '{options.mesh}'",
        ],
    )
    if engine.run_main(train.engine_arguments(run)):
        raise SystemExit(1)
    record["bytes"] = sum(
        p.stat().st_size for p in (folder / "model").glob(f"model.ckpt-{options.steps}.data*")
    )
    record["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    shutil.rmtree(folder)
    print(json.dumps(record))


def measure(options: argparse.Namespace, mesh: str, ways: list[str]) -> dict[str, Any]:
    """Returns what a training in a process of its own recorded."""
    words = ["--size", options.size, "--steps", str(options.steps), "--folder", str(options.folder)]
    words += ["--child", "--mesh", mesh, "--ways", *ways]
    done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().strip().splitlines()[-1])


def seconds(record: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns {way: median seconds (stopped, lost)} of the saves that steps follow."""
    steps = record["steps"]
    gaps = [b - a for a, b in zip(steps, steps[1:])]
    found: dict[str, list[tuple[float, float]]] = {}
    alone = statistics.median(g for n, g in enumerate(gaps, 2) if n % EVERY not in (1, 2))
    for step, way, began, ended in record["saves"]:
        if 0 < step <= len(steps) - EVERY + 1:
            period = steps[step + EVERY - 2] - steps[step - 1]
            found.setdefault(way, []).append((ended - began, period - (EVERY - 1) * alone))
    return {way: tuple(map(statistics.median, zip(*v))) for way, v in found.items()}


def main() -> None:
    """Measures both meshes and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="small")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()))
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--mesh", default="", help=argparse.SUPPRESS)
    parser.add_argument("--ways", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    today = datetime.date.today().isoformat()
    lines = [
        f"# Saving a checkpoint, {today}",
        "",
        f"A Transformer of size {options.size} with AdamW, 4 rows of 64 tokens, float32, a CPU "
        "with two cores that other work shared. Medians of the saves of one run, in which both "
        "ways take turns; memory is that of a run of each way alone.",
        "",
        "| mesh | checkpoint | stopped: Mesh-TF | background | ratio | lost: Mesh-TF | "
        "background | ratio | peak: Mesh-TF | background |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, mesh in MESHES.items():
        both = measure(options, mesh, [STOCK, BACKGROUND])
        peaks = [measure(options, mesh, [way])["peak"] for way in (STOCK, BACKGROUND)]
        found = seconds(both)
        (stop, lost), (stop_now, lost_now) = found[STOCK], found[BACKGROUND]
        lines.append(
            f"| {name} | {both['bytes'] / 1e6:.0f} MB | {stop:.2f} s | {stop_now:.2f} s | "
            f"{stop / stop_now:.1f} | {lost:.2f} s | {lost_now:.2f} s | "
            f"{lost / max(lost_now, 1e-3):.1f} | "
            f"{peaks[0] / 1e9:.2f} GB | {peaks[1] / 1e9:.2f} GB |"
        )
        print(lines[-1], file=sys.stderr)
    (RESULTS / f"checkpoints_{today}.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
