"""A program in place of the engine: it writes the files of a run, without TensorFlow, in a second.

It takes the engine's arguments. A gin binding says how it behaves: `behaviour = "..."`:
"fails" ends with code 1 at step 2; "waits" takes 0.06 s for a step; "empty" ends at once, with
code 0. Each trained step is a line of `steps.txt`, so that a step that is trained twice shows.
"""

import os
import pathlib
import signal
import sys
import time


def option(name, default=None):
    found = [word.partition("=")[2] for word in sys.argv if word.startswith(f"--{name}=")]
    return found[-1] if found else default


def binding(name, default):
    values = dict(w[12:].split(" = ", 1) for w in sys.argv if w.startswith("--gin_param="))
    return values.get(name, default).strip('"')


def saved_step(folder):
    try:
        return int((folder / "checkpoint").read_text().strip().strip('"').rsplit("-", 1)[1])
    except FileNotFoundError:
        return 0


def main():
    folder = pathlib.Path(option("model_dir"))
    behaviour = binding("behaviour", "trains")
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.append(number))
    with open(folder / "processors.txt", "a") as out:
        out.write(f"{sorted(os.sched_getaffinity(0))} {os.environ['OMP_NUM_THREADS']}\n")
    if behaviour == "empty":
        return 0
    goal = int(binding("utils.run.train_steps", "3"))
    for step in range(saved_step(folder) + 1, goal + 1):
        time.sleep(0.06 if behaviour == "waits" else 0.001)
        if behaviour == "fails" and step == 2:
            print("primer: [/bold] the loss is NaN", file=sys.stderr)
            return 1
        with open(folder / "steps.txt", "a") as out:
            out.write(f"{step}\n")
        (folder / f"model.ckpt-{step}.index").touch()
        (folder / "checkpoint.new").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')
        os.replace(folder / "checkpoint.new", folder / "checkpoint")
        rate = "lr 1.0e-03  grad 0.5  12.3k tokens/s  epoch 1"
        print(f"step {step:,}/{goal:,}  loss {9 - step / 8:.4f}  {rate}  0:03 left", flush=True)
        if stop:
            return 128 + stop[0]
    return 0


if __name__ == "__main__":
    sys.exit(main())
