"""`primer check`: its output, and each kind of setting without effect with file and line."""

import json

import pytest

from primer import cli
from primer.gin_config import config_files, provenance

TINY = ["--architecture", "transformer", "--activation", "relu", "--size", "tiny"]
TINY += ["--vocabulary_size", "97"]


def run(*words):
    """The exit code of `primer check words...`, in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *map(str, words)])
    return end.value.code


@pytest.fixture
def checked(capsys):
    """A function (words): the exit code and the JSON object."""

    def check_words(*words):
        code = run(*words, "--json")
        return code, json.loads(capsys.readouterr().out)

    return check_words


# The mistakes of the original's files (and of those that they come from), on lines of their own.
RELEASED = """# A user's file, with the lines of the released files.

Unitransformer.layer_stack = @PrePostNormLayerStack
deccoder/MoE1D.capacity_factor_train = 1.2
encoder/MoE1D.capacity_factor_eval = 1.2
decoder/Unitransformer.label_smoothing = 0.1
LocalSelfAttention.dropout_rate = 0.3
num_layer = 3
trian/utils.run.train_steps = 3
"""


def test_a_task_sets_the_vocabulary_and_its_settings(checked):
    code, result = checked(*TINY[:-2], "--task", "text", "--gin_param", "text_files.held_out = 0.1")
    assert code == 0
    embedding = result["parameters"] - result["parameters_without_embedding"]
    assert embedding == 8192 * 32


def test_every_mistake_of_the_released_files_is_found_with_its_line(tmp_path, checked):
    path = tmp_path / "mine.gin"
    path.write_text(RELEASED)
    code, result = checked(*TINY, path)
    assert code == 1
    dead = {finding["where"]: finding for finding in result["dead"]}
    assert list(dead) == [f"{path}:{line}" for line in range(3, 10)]
    assert all(finding["own"] for finding in result["dead"])
    assert [(f["kind"], f["name"]) for f in result["dead"]] == [
        ("binding", "Unitransformer.layer_stack"),
        ("scope", "deccoder/MoE1D.capacity_factor_train"),
        ("scope", "encoder/MoE1D.capacity_factor_eval"),
        ("scope", "decoder/Unitransformer.label_smoothing"),
        ("binding", "LocalSelfAttention.dropout_rate"),
        ("macro", "num_layer"),
        ("scope", "trian/run.train_steps"),
    ]
    assert "caller passes another value" in dead[f"{path}:3"]["reason"]
    assert "never called" in dead[f"{path}:7"]["reason"]
    assert "did you mean num_layers?" in dead[f"{path}:8"]["reason"]


def test_the_printed_report_says_the_same(tmp_path, capsys):
    (tmp_path / "inner.gin").write_text("\ndeccoder/MoE1D.capacity_factor_train = 1.2\n")
    (tmp_path / "outer.gin").write_text(f'include "{tmp_path}/inner.gin"\n')
    params = ["--gin_param", "size = 1", "--gin_param", "LocalSelfAttention.radius = 3"]
    assert run(*TINY, tmp_path / "outer.gin", *params) == 1
    out = capsys.readouterr().out
    blocks = ["Slots", "Parameters with", "Layers", "Bindings that take no effect:"]
    blocks += ["  --gin_param: LocalSelfAttention.radius", "Scopes that are never entered:"]
    blocks += [f"  {tmp_path}/inner.gin:2: deccoder/MoE1D.capacity_factor_train"]
    blocks += ["Macros that nothing reads:", "  --gin_param: size takes no effect"]
    positions = [out.index(text) for text in blocks]
    assert positions == sorted(positions)
    assert "block_000-001 x 2" in out and "[d_model 32, d_ff 64]" in out
    assert "(installed)" not in out


def test_a_setting_that_training_or_evaluation_reads_is_no_finding(checked):
    """Also settings that only the optimizer, a schedule, the data or `--eval_every` reads."""
    params = [
        "d_ff_gated = 5",
        "rate = 0.9",
        "AdafactorOptimizer.decay_rate = %rate",
        "learning_rate_schedule_noam.warmup_steps = 5",
        "train_rows.separate_documents = True",
        "mesh_train_dataset_fn.seed = 3",
        "utils.run.perplexity_eval_steps = 3",
        "validation.every = 5",
        "utils.tpu_mesh_shape.model_parallelism = 2",
    ]
    words = [word for binding in params for word in ("--gin_param", binding)]
    assert checked(*TINY, "datasets/sotu.gin", "run/evaluate.gin", *words)[0] == 0


def test_the_settings_of_another_task_are_dead(checked):
    glob = ["--gin_param", "text_files.glob = '/data/*.txt'"]
    assert checked(*TINY, "datasets/text.gin", *glob)[0] == 0
    code, result = checked(*TINY, "datasets/sotu.gin", *glob)
    assert code == 1 and [finding["name"] for finding in result["dead"]] == ["text_files.glob"]


def test_findings_in_installed_files_are_printed_on_demand(checked):
    code, result = checked(*TINY, "--all")
    assert code == 0 and result["dead"]
    assert not any(finding["own"] for finding in result["dead"])
    names = {finding["name"] for finding in result["dead"]}
    assert {"decoder/Unitransformer.label_smoothing", "LocalSelfAttention.dropout_rate"} <= names
    assert checked(*TINY)[1]["dead"] == []


def test_two_architectures_are_a_warning(tmp_path, capsys):
    folder = tmp_path / "architectures"
    folder.mkdir()
    (folder / "z.gin").write_text("norm = @sublayer_rms_norm\n")
    assert run(*TINY, folder / "z.gin") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "Warning" in line]
    assert line == (
        f"Warning: architectures/transformer.gin and {folder}/z.gin both set `norm`; "
        "the later one, z.gin, is in force"
    )


def test_the_slots_have_the_place_that_sets_them(tmp_path, checked):
    (tmp_path / "mine.gin").write_text("\nnum_layers = 3\n")
    code, result = checked(*TINY, tmp_path / "mine.gin", "--gin_param", "d_ff = 40")
    assert code == 0
    slots = result["slots"]
    assert slots["num_layers"] == {
        "value": "3",
        "comes_to": "3",
        "set_by": f"{tmp_path}/mine.gin:2",
    }
    assert slots["num_dense_blocks"]["comes_to"] == "3"
    assert slots["d_ff"]["set_by"] == "--gin_param"
    assert slots["attention"]["value"] == "@MultiHeadAttention"


def test_the_configuration_that_a_run_wrote_has_no_findings(tmp_path, checked):
    """config.gin of a model directory has every binding of the run, those of defaults included."""
    import gin

    from tests import gin_models

    gin_models.parse(config_files.composition_files("transformer", "relu", "tiny"))
    (tmp_path / "config.gin").write_text(gin.config_str())
    assert checked(tmp_path / "config.gin", "--vocabulary_size", 97)[0] == 1
    (tmp_path / "primer.json").write_text("{}")
    assert checked(tmp_path / "config.gin", "--vocabulary_size", 97)[0] == 0


SMALL = [name for name in config_files.names_of_kind("models") if name.startswith("small_")][:3]


@pytest.mark.parametrize("model", SMALL)
def test_a_published_model_is_clean(model, checked):
    code, result = checked("--model", model)
    assert code == 0 and result["dead"] == [] and result["shared_slots"] == []
    assert result["files"] == config_files.published_model_files(model)
    assert result["parameters"] == sum(result["parameters_by_part"].values())
    layers = [layer for group in result["layers"] for layer in group["layers"]]
    variables = [variable for layer in layers for variable in layer["variables"]]
    assert sum(v["times"] * v["parameters"] for v in variables) == result["parameters"]


def test_gins_configuration_and_record_are_restored():
    import gin

    gin.parse_config("mine = 5")
    assert run(*TINY, "--json") == 0
    assert gin.query_parameter("%mine") == 5 and not gin.config_is_locked()
    assert not gin.config._OPERATIVE_CONFIG


@pytest.mark.parametrize(
    "words, messages",
    [
        ([], ["nothing to check", "--model", "small_{evolved_transformer, primer,"]),
        (["--model", "small_primr"], ["small_primr", "primer, primer_ez,"]),
        (["--model", "small_primer", "nowhere.gin"], ["nowhere.gin"]),
        (["architectures/primer.gin", "sizes/tiny.gin"], ["model_type", "models/defaults.gin"]),
        (
            ["models/defaults.gin", "architectures/primer.gin"],
            ["d_model", "num_layers", "nothing sets these slots", "sizes/"],
        ),
        ([*TINY, "--gin_param", "d_model ="], ["gin cannot take these settings"]),
        ([*TINY, "--gin_param", "SelfAttention.heads = 2"], ["SelfAttention", "heads"]),
        ([*TINY, "--gin_param", "d_kv = 'x'"], ["the model cannot be built", "d_kv"]),
        (
            [*TINY, "--gin_param", "precision.activation_dtype = 'float8'"],
            ["precision.activation_dtype = 'float8'", "bfloat16"],
        ),
        ([*TINY, "--vocabulary_size", "0"], ["--vocabulary_size = 0"]),
        ([*TINY, "--module_import", "no_such_module"], ["--module_import=no_such_module"]),
        ([*TINY, "datasets/sotu.gin", "--gin_param", "MIXTURE_NAME = 'sout'"], ["'sout'", "sotu"]),
    ],
)
def test_misuse_is_one_line(words, messages, capsys):
    assert run(*words) == 2
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("primer: ")]
    assert captured.err.splitlines()[-1] == line and captured.out == ""
    assert all(message in line for message in messages)


def test_an_error_names_the_file_and_the_line(tmp_path, capsys):
    (tmp_path / "mine.gin").write_text("d_model = 32\n\nSelfAttention.nothing = 3\n")
    assert run(*TINY, tmp_path / "mine.gin") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "mine.gin" in line and "line 3" in line
    assert provenance.PARAM not in line


def test_the_optimizer_and_the_schedule_are_checked_and_what_they_remark_is_printed(capsys):
    words = ["--optimizer", "adamw", "--schedule", "wsd", "--learning_rate", "0.25"]
    words += ["--gin_param", "utils.run.train_steps = 100", "--gin_param", "decay_steps = 150"]
    assert run(*TINY, *words, "--json") == 0
    output = capsys.readouterr()
    assert output.err.count("decay_steps = 150: the run ends at step 100, before") == 1
    slots = json.loads(output.out)["slots"]
    assert slots["schedule"]["set_by"].startswith("schedules/wsd.gin:")
    assert slots["learning_rate"]["comes_to"] == "0.25"


def test_a_schedule_stands_between_the_files_and_the_gin_files(write, checked):
    first = write("first.gin", "schedule = @linear_schedule\n")
    words = [first, "--schedule", "cosine", "--gin_param", "utils.run.train_steps = 10"]
    _, result = checked(*TINY, *words)
    assert result["slots"]["schedule"]["value"] == "@cosine_schedule"
    _, result = checked(*TINY, *words, "--gin_file", first)
    assert result["slots"]["schedule"]["value"] == "@linear_schedule"
