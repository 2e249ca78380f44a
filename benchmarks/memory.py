"""What a memory of earlier rows is worth: validation loss over its length, at equal tokens.

    .venv/bin/python benchmarks/memory.py --text tinyshakespeare.txt --wikitext wikitext-2

Two models, a Transformer and Primer-EZ, both with relative positions, are trained on rows of 64
tokens that continue one another, without memory and with memories of 16 to 256 positions, which
training carries from row to row. Everything else is equal: steps, tokens and their order, learning
rate, initial weights. Small-data checks, and named as such: Tiny Shakespeare by characters (the
first 90% to train), and WikiText-2 by words (trained on its validation file, tested on its test
file: the training file was not at hand). The loss is that of the last checkpoint on the whole
split: each token once, in one stream, in windows of 64, with the memory of training. Writes a dated
markdown, JSON and PNG file to `benchmarks/results/` after each run; an interrupted trial of the
same day goes on.
"""

import argparse
import datetime
import json
import pathlib
import shutil
import statistics
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from benchmarks import two_texts  # noqa: E402
from primer.launch import engine, evaluate, train  # noqa: E402

MODELS = {"Transformer": ("transformer", "relu"), "Primer-EZ": ("primer_ez", "squared_relu")}
MEMORIES = (0, 16, 64, 256)
SHAKESPEARE = "Tiny Shakespeare, characters"
WIKITEXT = "WikiText-2, words"
SEEDS = (0, 1)
ROW = 64
# Of both models on both texts; 12 rows, as nanoGPT's recipe for CPUs.
SETTINGS = [
    "num_layers = 4",
    "d_model = 128",
    "num_heads = 4",
    "d_kv = 32",
    "d_ff = 512",
    'positions = "rotary"',
    "utils.run.batch_size = 12",
    f'utils.run.sequence_length = {{"inputs": 1, "targets": {ROW}}}',
    "utils.run.save_checkpoints_steps = 100000",
    "usual_weight_decay = 0.1",
]
STEPS = {SHAKESPEARE: 2000, WIKITEXT: 1000}
DROPOUT = {SHAKESPEARE: 0.0, WIKITEXT: 0.2}
RATE = 0.002
TASK = "benchmarks.two_texts"

# {text: {model: {memory: {seed: nats per token}}}}
Losses = dict[str, dict[str, dict[str, dict[str, float]]]]


def loss_of(
    text: str, model: str, memory: int, seed: int, folder: pathlib.Path, bindings: list[str]
) -> float:
    """Trains once; returns the nats per token of the last checkpoint on the whole split."""
    model_dir = folder / f"{text[:4]}_{model}_{memory}_{seed}"
    shutil.rmtree(model_dir, ignore_errors=True)
    architecture, activation = MODELS[model]
    carried = [f"memory_length = {memory}", "carry_memory = True"] if memory else []
    run = train.TrainingRun(
        model=train.ModelChoice(architecture=architecture, activation=activation, size="tiny"),
        model_dir=str(model_dir),
        task=str(ROOT / "benchmarks" / "two_texts.gin"),
        steps=STEPS[text],
        seed=seed,
        gin_file=["objectives/lm_stream.gin", "optimizers/adamw.gin", "schedules/cosine.gin"],
        gin_param=[
            *SETTINGS,
            f"learning_rate = {RATE}",
            f"dropout_rate = {DROPOUT[text]}",
            *carried,
            *bindings,
        ],
        module_import=[TASK],
    )
    code = engine.run_main(train.engine_arguments(run))
    if code:
        raise SystemExit(code)
    options = {"evaluate_checkpoints.checkpoints": "latest", "protocol.name": "stream"}
    if engine.run_main(evaluate.engine_arguments(str(model_dir), trust=[TASK], **options)):
        raise SystemExit(f"{model_dir} cannot be evaluated")
    (path,) = (model_dir / "eval").glob("*.jsonl")
    row = json.loads(path.read_text())
    shutil.rmtree(model_dir)
    return row["nats_per_token"]


def markdown(results: Losses, stem: str) -> str:
    """Returns the page of results."""
    lines = [
        f"# Memory of earlier rows, {datetime.date.today().isoformat()}",
        "",
        "Small-data checks. Models of 4 layers, width 128, rotary positions; rows of 64 tokens "
        "that continue one another, 12 at a time; AdamW, cosine to a tenth of 0.002, the same "
        "steps, tokens, order and initial weights for every memory. Validation nats per token: "
        "the whole split in one stream, every token once, windows of 64 with the memory of "
        "training. ± is the standard deviation over seeds.",
    ]
    for text, models in results.items():
        lines += ["", f"## {text}, {STEPS[text]:,} steps", ""]
        lines += ["| model | " + " | ".join(f"memory {m}" for m in MEMORIES) + " | seeds |"]
        lines += ["|---|" + "---|" * (len(MEMORIES) + 1)]
        for model, memories in models.items():
            cells = [_cell(list(memories.get(str(m), {}).values())) for m in MEMORIES]
            seeds = max(map(len, memories.values()), default=0)
            lines.append(f"| {model} | " + " | ".join(cells) + f" | {seeds} |")
    return "\n".join([*lines, "", f"![Loss by memory]({stem}.png)", ""])


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def draw(results: Losses, path: pathlib.Path) -> None:
    """Draws the loss by the length of memory, a panel for each text."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(results), figsize=(5 * len(results), 4), layout="constrained", squeeze=False
    )
    for axes, (text, models) in zip(panels[0], results.items(), strict=True):
        for model, memories in models.items():
            points = sorted((int(m), statistics.mean(v.values())) for m, v in memories.items() if v)
            axes.plot(*zip(*points, strict=True), marker="o", label=model)
        axes.set(xlabel="positions of memory", ylabel="validation nats per token", title=text)
        axes.set_xscale("symlog", linthresh=16)
        axes.set_xticks(MEMORIES, [str(m) for m in MEMORIES])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def runs(texts: list[str]) -> Any:
    """Yields (text, model, memory, seed), all of the first seed before those of the next."""
    for seed in SEEDS:
        for text in texts:
            for memory in MEMORIES:
                for model in MODELS:
                    yield text, model, memory, seed


def main() -> None:
    """Runs what is missing of today's results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=pathlib.Path, required=True, help="tinyshakespeare.txt")
    parser.add_argument("--wikitext", type=pathlib.Path, required=True, help="its folder")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/memory"))
    options = parser.parse_args()
    folders = {SHAKESPEARE: options.folder / "shakespeare", WIKITEXT: options.folder / "wikitext"}
    bindings = {
        SHAKESPEARE: two_texts.tiny_shakespeare(options.text, folders[SHAKESPEARE]),
        WIKITEXT: two_texts.wikitext(options.wikitext, folders[WIKITEXT]),
    }
    stem = RESULTS / f"memory_{datetime.date.today().isoformat()}"
    data = stem.with_suffix(".json")
    results: Losses = json.loads(data.read_text()) if data.exists() else {}
    for text, model, memory, seed in runs([SHAKESPEARE, WIKITEXT]):
        found = results.setdefault(text, {}).setdefault(model, {}).setdefault(str(memory), {})
        if str(seed) in found:
            continue
        two_texts.select(folders[text])
        loss = loss_of(text, model, memory, seed, options.folder, bindings[text])
        found[str(seed)] = loss
        print(f"{text}  {model}  memory {memory}  seed {seed}  {loss:.4f}", flush=True)
        data.write_text(json.dumps(results, indent=2) + "\n")
        stem.with_suffix(".md").write_text(markdown(results, stem.name))
        draw(results, stem.with_suffix(".png"))


if __name__ == "__main__":
    main()
