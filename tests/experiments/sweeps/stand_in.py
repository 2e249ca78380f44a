"""A program in place of the engine and of `primer eval`: it writes their files in a second.

It takes the engine's arguments. A gin binding says how it behaves: `behaviour = "..."`:
"fails" ends with code 1 at step 2; "waits" takes 0.06 s for a step; "empty" ends at once, with
code 0. Each trained step is a line of `steps.txt`, so that a step that is trained twice shows.
With `--eval_every` it writes results as validation does; `handicap = X` makes its losses higher.

With "eval" as its first argument it takes those of `primer eval`, and a scored step is a line of
`scored.txt`; `--split=fails` ends with code 1, `--split=waits` takes 0.1 s for a checkpoint.
"""

import json
import math
import os
import pathlib
import signal
import sys
import time

TOKENS, FLOPS = 1_000, 7


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
    (folder / "gpus.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "not set"))
    if behaviour == "empty":
        return 0
    record = {"tokens_per_step": [[0, TOKENS, FLOPS, "exact with attention"]]}
    (folder / "primer.json").write_text(json.dumps(record))
    goal = int(binding("utils.run.train_steps", "3"))
    every, handicap = int(option("eval_every", "0")), float(binding("handicap", "0"))
    (folder / "handicap.txt").write_text(str(handicap))
    print("learning_rate = 0.01 has no effect: the schedule does not read it", flush=True)
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
        if every and step % every == 0:
            write_result(folder, step, "validation")
        if stop:
            (folder / "stopped.txt").write_text(str(stop[0]))
            return 128 + stop[0]
    return 0


def evaluate():
    """Scores checkpoints as `primer eval`: known ones are not scored again."""
    folder, split = pathlib.Path(option("model_dir")), option("split", "validation")
    for step in map(int, option("checkpoints").split(",")):
        assert (folder / f"model.ckpt-{step}.index").exists()
        if split == "fails":
            print("primer: [/bold] the split is damaged", file=sys.stderr)
            return 1
        path = result_path(folder, split)
        known = path.read_text().splitlines() if path.exists() else []
        if step in [json.loads(line)["step"] for line in known]:
            continue
        time.sleep(0.1 if split == "waits" else 0.0)
        with open(folder / "scored.txt", "a") as out:
            out.write(f"{step}\n")
        write_result(folder, step, split)
    return 0


def result_path(folder, split):
    (folder / "eval").mkdir(exist_ok=True)
    return folder / "eval" / f"sotu_{split}_stream.jsonl"


def write_result(folder, step, split):
    loss = 9 - step / 8 + float((folder / "handicap.txt").read_text())
    row = {
        **{"task": "sotu", "split": split, "protocol": "stream", "window": 128},
        **{"text_checksum": "ab", "counts_checksum": "cd", "configuration": "ef"},
        **{"primer": "0", "step": step, "weights": str(step), "how": "All of it."},
        **{"nats_per_token": loss, "perplexity_per_token": math.exp(loss), "bits_per_byte": None},
        **{"tokens": 155_160, "bytes": 758_194, "words": 122_810},
    }
    with open(result_path(folder, split), "a") as out:
        out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(evaluate() if sys.argv[1] == "eval" else main())
