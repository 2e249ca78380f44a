"""The engine's command line that trains a model on a task."""

import pytest

from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import train
from primer.launch.train import ModelChoice, TrainingRun


def test_the_full_name_of_a_task_is_understood():
    assert train.task_gin_file("lm1b_autoregressive_language_modeling") == "datasets/lm1b.gin"
    assert train.task_gin_file("c4_v220_autoregressive_language_modeling") == "datasets/c4.gin"
    for task in ("sotu2", "sotu_v2", "text_mine"):
        with pytest.raises(UsageError):
            train.task_gin_file(task)


def test_the_arguments_of_a_published_model():
    model = ModelChoice("small_primer")
    training = TrainingRun(model, "m", "sotu", steps=7, seed=3, gin_param=["a.b = 1"])
    arguments = train.engine_arguments(training)
    assert arguments == [
        "--module_import=t5_imports",
        "--model_dir=m",
        "--gin_file=models/defaults.gin",
        "--gin_file=models/small_primer.gin",
        "--gin_file=datasets/sotu.gin",
        "--gin_param=utils.run.train_steps = 7",
        "--gin_param=a.b = 1",
        "--seed=3",
    ]


def test_a_tracker_is_a_binding_before_the_users():
    training = TrainingRun(
        ModelChoice("small_primer"), "m", "sotu", tracker="wandb", gin_param=["a.b = 1"]
    )
    assert train.engine_arguments(training)[-2:] == [
        "--gin_param=tracking.tracker = @WandbTracker()",
        "--gin_param=a.b = 1",
    ]
    with pytest.raises(UsageError, match="--tracker is mlflow; expected wandb. For a class of"):
        train.tracker_bindings("mlflow")


def test_a_part_may_be_a_gin_file_by_its_path(tmp_path):
    size = tmp_path / "mine.gin"
    size.write_text("d_model = 16\n")
    parts = dict(architecture="primer", activation="swiglu", size=str(size))
    files = ["architectures/primer.gin", "activations/swiglu.gin", str(size)]
    choice = ModelChoice(**parts)
    assert train.model_gin_files(choice) == [config_files.MODEL_DEFAULTS, *files]
    published = train.model_gin_files(ModelChoice(**{**parts, "size": "gpt2_124m"}))
    assert published[-1] == "sizes/published/gpt2_124m.gin"
    choice = ModelChoice(**{**parts, "size": str(tmp_path / "other.gin")})
    with pytest.raises(UsageError, match="--size .*other.gin: there is no such file"):
        train.model_gin_files(choice)


def test_options_of_the_engine_come_last_and_files_are_checked(tmp_path):
    own = tmp_path / "own.gin"
    own.write_text("d_ff = 3\n")
    run = TrainingRun(
        ModelChoice(architecture="primer", activation="swiglu", size="tiny"),
        "m",
        "lm1b_autoregressive_language_modeling",
        eval_every=5,
        early_stop=3,
        profile=5,
        gin_file=["run/smoke.gin", "dataset.gin", str(own)],
        module_import=["mine"],
        t5_tfds_data_dir="/data",
    )
    assert train.engine_arguments(run) == [
        "--module_import=t5_imports",
        "--module_import=mine",
        "--model_dir=m",
        "--gin_file=models/defaults.gin",
        "--gin_file=architectures/primer.gin",
        "--gin_file=activations/swiglu.gin",
        "--gin_file=sizes/tiny.gin",
        "--gin_file=datasets/lm1b.gin",
        "--gin_file=run/smoke.gin",
        "--gin_file=dataset.gin",
        f"--gin_file={own}",
        "--eval_every=5",
        "--early_stop=3",
        "--profile=5",
        "--t5_tfds_data_dir=/data",
    ]


@pytest.mark.parametrize("name", ["steps", "eval_every", "early_stop", "profile"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one_are_refused(name, value):
    run = TrainingRun(ModelChoice("small_primer"), "m", "sotu", **{name: value})
    with pytest.raises(UsageError, match=f"--{name} = {value}: expected a whole number"):
        train.engine_arguments(run)


@pytest.mark.parametrize(
    "choice, empty",
    [(ModelChoice(), True), (ModelChoice("x"), False), (ModelChoice(size="tiny"), False)],
)
def test_a_choice_of_nothing_is_empty(choice, empty):
    assert choice.is_empty() == empty


def test_every_file_of_datasets_is_found_by_its_task():
    names = train.dataset_of_task()
    assert sorted(names.values()) == config_files.names_of_kind("datasets")
    for task, name in names.items():
        assert train.task_gin_file(task) == train.task_gin_file(name) == f"datasets/{name}.gin"


def test_optimizer_and_schedule_come_between_the_task_and_other_files(tmp_path):
    own = tmp_path / "own.gin"
    own.write_text("schedule = @cosine_schedule\n")
    run = TrainingRun(
        ModelChoice("small_primer"),
        "m",
        "sotu",
        optimizer="adamw",
        schedule="cosine",
        learning_rate=3e-4,
        gin_file=["run/smoke.gin"],
        gin_param=["learning_rate = 1.0"],
    )
    assert train.engine_arguments(run)[3:] == [
        "--gin_file=models/small_primer.gin",
        "--gin_file=datasets/sotu.gin",
        "--gin_file=optimizers/adamw.gin",
        "--gin_file=schedules/cosine.gin",
        "--gin_file=run/smoke.gin",
        "--gin_param=learning_rate = 0.0003",
        "--gin_param=learning_rate = 1.0",
    ]
    assert train.optimization_files(None, str(own)) == [str(own)]
    assert train.optimization_files(None, None) == train.learning_rate_bindings(None) == []


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "adamv"}, "optimizers: no 'adamv'; expected one of .*adamw"),
        ({"schedule": "cosin"}, "schedules: no 'cosin'; expected one of .*cosine"),
        ({"schedule": "gone.gin"}, "--schedule gone.gin: there is no such file"),
        ({"learning_rate": 0.0}, "--learning_rate = 0.0: expected a number above 0"),
        ({"learning_rate": float("nan")}, "--learning_rate = nan: expected a number above 0"),
    ],
)
def test_mistakes_in_optimizer_schedule_and_rate(options, message):
    run = TrainingRun(ModelChoice("small_primer"), "m", "sotu", **options)
    with pytest.raises(UsageError, match=message):
        train.engine_arguments(run)
