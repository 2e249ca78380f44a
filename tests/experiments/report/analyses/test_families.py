"""Families: which settings may differ, their names, and the learning rates of runs."""

import types

import pytest

from primer.experiments.report.analyses import families


def contender(name, settings=None, config=None, axes=()):
    run = types.SimpleNamespace(
        name=name, settings=settings, config=config, model_dir=name, axes=axes
    )
    return types.SimpleNamespace(name=name, curves=[types.SimpleNamespace(run=run)])


def sweep(**settings):
    name = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in settings.items())
    return contender(name, settings | {"seed": 1, "task": "sotu"}, axes=(*settings, "seed"))


def names(found):
    return {family.name: len(family.contenders) for family in found}


def test_sizes_steps_batches_and_rates_are_of_one_family():
    runs = [
        sweep(**{"architecture": name, "size": size, "steps": steps, "learning_rate": rate} | more)
        for name in ("primer", "llama")
        for size, steps, rate in (("tiny", 10, 0.1), ("small", 20, 0.01))
        for more in ({}, {"gin.utils.run.batch_size": 8})
    ]
    assert names(families.families(runs, families.SCALE)) == {"primer": 4, "llama": 4}
    assert names(families.families(runs, families.RATE)) == {run.name: 1 for run in runs}
    experts = [sweep(architecture="switch", **{"gin.num_experts": n}) for n in (4, 8)]
    assert len(families.families(experts, families.SCALE)) == 2


def test_a_ladder_sets_more_by_its_size():
    runs = [
        contender(
            f"size={size},change={change}",
            {"gin.depth": depth, "gin.warmup_steps": 0.1 / depth, "gin_param": [change], "z": 1},
            axes=("gin.depth", "gin.warmup_steps", "gin_param"),
        )
        for size, depth in (("3M", 4), ("10M", 6))
        for change in ("base", "mdha")
    ]
    assert names(families.families(runs, families.SCALE)) == {"base": 2, "mdha": 2}
    assert len(families.families(runs, families.STEPS)) == 4


def test_lengths_differ_in_steps_alone():
    runs = [sweep(size=size, steps=steps, eval_every=steps) for size in "ab" for steps in (10, 20)]
    assert names(families.families(runs, families.STEPS)) == {"a": 2, "b": 2}


def test_directories_are_compared_by_their_gin_settings():
    def run(name, d_ff, attention, steps=100):
        config = {
            "d_ff": str(d_ff),
            "attention": attention,
            "run.train_steps": str(steps),
            "run.model_dir": name,
            "run_seed.seed": "3",
        }
        return contender(name, config=config)

    runs = [run("mdha_tiny", 8, "@M"), run("mdha_small", 16, "@M", 50), run("mha_tiny", 8, "@A")]
    found = families.families(runs, families.SCALE)
    assert names(found) == {"mdha": 2, "mha_tiny": 1}
    alone = [contender("x"), contender("y")]
    assert names(families.families(alone, families.SCALE)) == {"x": 1, "y": 1}


def test_families_of_other_settings_are_told_apart():
    runs = [sweep(architecture="a", size=size, z_loss=z) for size in "st" for z in (0, 1)]
    found = families.families(runs, families.SCALE)
    assert names(found) == {"architecture=a,z_loss=0": 2, "architecture=a,z_loss=1": 2}
    texts = [
        contender(f"{sweep}: {size}", {"task": sweep}, axes=("size",))
        for sweep in "ab"
        for size in "st"
    ]
    for one in texts:
        one.curves[0].run.name = f"size={one.name[-1]}"
    found = families.families(texts, families.SCALE)
    assert names(found) == {"a: s and 1 more": 2, "b: s and 1 more": 2}


@pytest.mark.parametrize(
    "settings, config, rate",
    [
        ({"learning_rate": 0.01}, {}, 0.01),
        ({"gin.learning_rate": "%usual"}, {"usual": "1e-3"}, 1e-3),
        (None, {"learning_rate": "%usual_rate", "usual_rate": "0.5"}, 0.5),
        ({"steps": 3}, {"learning_rate": "0.2"}, 0.2),
        (None, None, None),
        (None, {"learning_rate": "@f()"}, None),
    ],
)
def test_the_learning_rate_of_a_run(settings, config, rate):
    run = types.SimpleNamespace(settings=settings, config=config)
    assert families.rate_of(run) == rate
