"""The runs of a sweep's file: names, directories, command lines, and what is refused."""

import textwrap

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps import expansion, sweep_file

HEAD = """
output: runs
run: {architecture: primer_ez, activation: squared_relu, size: tiny, task: sotu, steps: 7}
"""


@pytest.fixture
def runs(write):
    """A function of the axes (and of another head) that returns the runs of such a file."""

    def expanded(axes, head=HEAD):
        text = f"{textwrap.dedent(head)}axes:\n{textwrap.indent(textwrap.dedent(axes), '  ')}"
        return expansion.expand(sweep_file.read(write("rates.yaml", text)))

    return expanded


@pytest.mark.parametrize(
    "axes, names",
    [
        ("[]", ["run"]),
        (
            "- architecture: [primer_ez, llama]\n- seed: [1, 2]",
            [f"architecture={a},seed={s}" for a in ("primer_ez", "llama") for s in (1, 2)],
        ),
        (
            "- zip: {gin.num_layers: [2, 4], gin.d_model: {wide: 64, thin: 32}}",
            ["num_layers=2,d_model=wide", "num_layers=4,d_model=thin"],
        ),
        (
            "- activation: [relu, gelu]\n- {learning_rate: [1e-3, 3e-4], when: {activation: gelu}}"
            "\n- seed: [1]",
            [
                "activation=relu,seed=1",
                "activation=gelu,learning_rate=0.001,seed=1",
                "activation=gelu,learning_rate=0.0003,seed=1",
            ],
        ),
        # A condition names a value or its label; several; and fails where its axis does not apply.
        (
            "- gin.attention: {mha: '@SelfAttention', mdha: '@MDHA'}\n"
            "- {gin.num_heads: [2, 4], when: {gin.attention: '@MDHA'}}\n"
            "- {seed: [5], when: {gin.num_heads: [4]}}",
            ["attention=mha", "attention=mdha,num_heads=2", "attention=mdha,num_heads=4,seed=5"],
        ),
        (
            "- gin.Unitransformer.z_loss: [0.0, 1e-4]\n- gin.positions: [rotary]",
            ["z_loss=0.0,positions=rotary", "z_loss=0.0001,positions=rotary"],
        ),
        (
            "- gin.a/Layer.rate: [1]\n- gin.b/Layer.rate: [2]",
            ["gin.a-Layer.rate=1,gin.b-Layer.rate=2"],
        ),
        (
            "- gin.utils.run.sequence_length: [{inputs: 1, targets: 64}]\n- gin.attention_kinds: "
            "[[global, local], null]",
            [
                f"sequence_length=inputs-1+targets-64,attention_kinds={kinds}"
                for kinds in ("global+local", "None")
            ],
        ),
        ("- gin.text_files.glob: ['../a b/*.txt']", ["glob=.._a_b_.txt"]),
        # Labels in place of the settings, which may repeat.
        (
            "- {zip: {gin.num_layers: [2, 4, 4], steps: [5, 5, 9]}, label: {size: [S, M, 3]}}\n"
            "- {gin_param: [[], ['a = 1', 'b = 2']], label: {change: [base, both]}, "
            "when: {gin.num_layers: 4}}",
            ["size=S", *(f"size={s},change={c}" for s in ("M", "3") for c in ("base", "both"))],
        ),
        (
            "- {zip: {steps: [5, 5]}, label: {a: [x, x], b: [y, z]}}",
            ["a=x,b=y", "a=x,b=z"],
        ),
    ],
)
def test_names_of_runs(axes, names, runs, tmp_path):
    found = runs(axes)
    assert [run.name for run in found] == names
    assert [run.index for run in found] == list(range(len(names)))
    assert [run.model_dir for run in found] == [str(tmp_path / "runs" / name) for name in names]


def test_the_command_of_a_run(runs, write, tmp_path):
    write("mine/wide.gin", "d_model = 24\nmy_slot = 1\n")
    (run,) = runs(
        "- size: [mine/wide.gin]\n"
        "- gin_file: [architectures/switch.gin]\n"
        "- zip: {gin.attention: ['@MDHA'], gin.positions: [rotary], gin.my_slot: [[1e-4, yes]]}\n"
        "- seed: [0]",
        HEAD.replace("steps: 7", "gin_param: ['dropout_rate = 0.1'], learning_rate: 1"),
    )
    assert run.name == (
        "size=wide,gin_file=switch,attention=MDHA,positions=rotary,my_slot=0.0001+yes,seed=0"
    )
    assert list(run.arguments) == [
        "--module_import=t5_imports",
        f"--model_dir={run.model_dir}",
        "--gin_file=models/defaults.gin",
        "--gin_file=architectures/primer_ez.gin",
        "--gin_file=activations/squared_relu.gin",
        f"--gin_file={tmp_path}/mine/wide.gin",
        "--gin_file=datasets/sotu.gin",
        "--gin_file=architectures/switch.gin",
        "--gin_param=learning_rate = 1.0",
        "--gin_param=dropout_rate = 0.1",
        "--gin_param=attention = @MDHA",
        '--gin_param=positions = "rotary"',
        '--gin_param=my_slot = [0.0001, "yes"]',
        "--seed=0",
    ]


def test_the_same_file_has_the_same_runs_and_pairs_seeds(runs):
    axes = "- architecture: [primer_ez, llama]\n- seed: [3, 4]"
    first, second = runs(axes), runs(axes)
    assert first == second
    assert [run.arguments[-1] for run in first] == ["--seed=3", "--seed=4"] * 2


FIXED = "run: {model: small_primer, task: sotu}\noutput: runs\n"


@pytest.mark.parametrize(
    "text, parts",
    [
        ("just words", ["is not a sweep", "output"]),
        ("[1, 2]", ["is not a sweep"]),
        ("", ["is not a sweep"]),
        (f"{FIXED}axis: []", ["unknown key 'axis'", "did you mean axes?"]),
        ("run: {task: sotu}", ["output = None", "folder"]),
        (FIXED.replace("runs", "gs://b/runs"), ["gs://b/runs", "local folder"]),
        ("output: runs", ["run = None", "settings that all runs share"]),
        (FIXED.replace("model:", "modle:"), ["run: unknown setting 'modle'; did you mean model"]),
        (FIXED.replace("small_primer", "small_primr"), ["small_primr", "expected one of"]),
        (FIXED.replace("task", "steps: yes, task"), ["run.steps = 'yes'", "whole number"]),
        (FIXED.replace("task", "steps: true, task"), ["run.steps = True", "whole number"]),
        (FIXED.replace("task", "steps: 1e2, task"), ["run.steps = 100.0", "whole number"]),
        (FIXED.replace("task", "learning_rate: true, task"), ["learning_rate = True", "number"]),
        (FIXED.replace("task", "learning_rate: '1e-3', task"), ["'1e-3'", "number above 0"]),
        (FIXED.replace("sotu", "7"), ["run.task = 7", "a text"]),
        (FIXED.replace("task", "gin_file: {a: 1}, task"), ["gin_file", "a list of texts"]),
        (FIXED.replace("task", "model_dir: x, task"), ["unknown setting 'model_dir'"]),
        (f"{FIXED}axes: {{seed: [1]}}", ["axes = ", "expected a list"]),
        (f"{FIXED}axes: [seed]", ["axes[0] = 'seed'"]),
        (f"{FIXED}axes: [seed: []]", ["axes[0].seed = []", "not empty"]),
        (f"{FIXED}axes: [seed: 3]", ["axes[0].seed = 3", "list of values"]),
        (f"{FIXED}axes: [seed: [1, true]]", ["axes[0].seed[1] = True", "whole number"]),
        (f"{FIXED}axes: [{{seed: [1], steps: [2]}}]", ["seed, steps", "expected one", "zip"]),
        (f"{FIXED}axes: [{{when: {{seed: 1}}}}]", ["(none)", "expected one"]),
        (f"{FIXED}axes: [gin.: [1]]", ["unknown setting 'gin.'"]),
        (f"{FIXED}axes: [gin.num_layrs: [1]]", ["gin.num_layrs", "did you mean gin.num_layers?"]),
        (f"{FIXED}axes: [learning_rat: [1]]", ["axes[0]", "learning_rate"]),
        (f"{FIXED}axes: [zip: {{seed: [1], steps: [1, 2]}}]", ["seed has 1", "steps has 2"]),
        (f"{FIXED}axes: [zip: [1]]", ["axes[0].zip = [1]"]),
        (f"{FIXED}axes: [seed: [1], seed: [2]]", ["two axes set seed"]),
        (f"{FIXED}axes: [{{seed: [1], label: 1}}]", ["axes[0].label = 1", "{NAME: "]),
        (f"{FIXED}axes: [{{seed: [1], label: {{}}}}]", ["axes[0].label = {}"]),
        (f"{FIXED}axes: [{{seed: [1], label: {{n: [a, b]}}}}]", ["label.n", "list of 1 labels"]),
        (f"{FIXED}axes: [{{seed: [1], label: {{n: [a/b]}}}}]", ["label 'a/b'", "letters"]),
        (f"{FIXED}axes: [{{seed: [1, 2], label: {{n: [a, a]}}}}]", ["are called n=a"]),
        (
            f"{FIXED}axes: [{{seed: [1], label: {{n: [a]}}}}, {{steps: [1], label: {{n: [a]}}}}]",
            ["two axes are called n"],
        ),
        (f"{FIXED}axes: [seed: [1, 1]]", ["two values are called '1'", "{label: value}"]),
        (f"{FIXED}axes: [gin_file: [a/x.gin, b/x.gin]]", ["two values are called 'x'"]),
        (f"{FIXED}axes: [seed: {{a/b: 1}}]", ["label 'a/b'", "letters"]),
        (
            f"{FIXED}axes: [seed: [1], {{steps: [1], when: {{sed: 1}}}}]",
            ["axes[1].when", "no axis 'sed'", "expected one of seed"],
        ),
        (
            f"{FIXED}axes: [seed: [1, 2], {{steps: [1], when: {{seed: 3}}}}]",
            ["axes[1].when.seed = 3", "it has 1, 2"],
        ),
        (f"{FIXED}axes: [{{steps: [1], when: {{seed: 1}}}}, seed: [1]]", ["(there is none)"]),
        (f"{FIXED}axes: [gin.a: [{'x' * 250}]]", ["too long", "{label: value}"]),
        (f"{FIXED}axes: [gin_file: [nowhere.gin]]", ["gin_file=nowhere", "no such file"]),
        (
            f"{FIXED}axes: [seed: {list(range(101))}, steps: {list(range(1, 101))}]",
            ["more than 10,000 runs"],
        ),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(text, parts, write):
    path = write("s.yaml", text)
    with pytest.raises(UsageError) as error:
        expansion.expand(sweep_file.read(path))
    message = str(error.value)
    assert message.startswith(path) and "\n" not in message
    assert all(part in message for part in parts), message
