"""Small text files, the gin file of a tiny model for them, and the command that trains it."""

TINY = """
d_model = 16
num_layers = 2
num_heads = 4
d_kv = 4
d_ff = 32
utils.run.sequence_length = {{"inputs": 1, "targets": 32}}
utils.run.batch_size = 4
utils.run.save_checkpoints_steps = 3
text_files.glob = "{folder}/*.txt"
text_files.held_out = 0.2
task_vocabulary.name = "bytes"
"""


def write(folder):
    """Writes the texts and tiny.gin into a folder; returns the folder."""
    for n in range(30):
        lines = (f"{n} times {k} is {n * k}.\n" for k in range(20))
        (folder / f"{n}.txt").write_text("".join(lines))
    (folder / "tiny.gin").write_text(TINY.format(folder=folder))
    return folder


def train_words(texts, model_dir, *more):
    """Returns the words of a `primer train` command for the texts."""
    return [
        *("train", "--architecture", "primer_ez", "--activation", "squared_relu"),
        *("--size", "tiny", "--task", "text", "--gin_file", texts / "tiny.gin"),
        *("--model_dir", model_dir, *more),
    ]
