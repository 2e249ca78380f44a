"""The protocol of a profile: which steps are timed, and which are traced."""

from primer.runtime.training.profiling.timed_steps import TimedSteps


def test_steps_warm_up_and_then_untraced_and_traced_ones_take_turns():
    steps = TimedSteps(number=2, warm_up=3)
    assert steps.total == 7
    asked = []

    def run(options, metadata):
        assert (options is None) == (metadata is None)
        asked.append(options is not None)
        return len(asked)

    results = [steps.run(run) for _ in range(steps.total)]
    assert results == [1, 2, 3, 4, 5, 6, 7] and steps.is_complete
    assert asked == [False] * 3 + [False, True, False, True]
    assert [len(x) for x in (steps.untraced, steps.cpu, steps.traced, steps.traces)] == [2] * 4
    assert steps.run(run) == 8 and not asked[-1]  # Training goes on.
