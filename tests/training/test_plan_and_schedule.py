"""Steps of a fit, and the learning rate at each."""

import math

import keras
import pytest

from seqexp_tf.training.plan import Plan
from seqexp_tf.training.schedule import warmup_cosine


@pytest.mark.parametrize(
    ("plan", "finished", "legs"),
    [
        (Plan(epoch=5, period=5, total=20), 0, [(0, 4, 5)]),
        (Plan(epoch=5, period=5, total=20), 3, [(3, 4, 5)]),
        (Plan(epoch=5, period=5, total=20), 4, []),
        (Plan(epoch=5, period=4, total=10), 0, [(0, 2, 4), (2, 3, 2)]),
        (Plan(epoch=5, period=4, total=10), 2, [(2, 3, 2)]),
        (Plan(epoch=5, period=4, total=10), 3, []),
        (Plan(epoch=5, period=100, total=7), 0, [(0, 1, 7)]),
    ],
)
def test_the_legs_of_a_fit(plan, finished, legs):
    assert list(plan.legs(finished)) == legs
    steps = plan.steps_after(finished) + sum((b - a) * n for a, b, n in legs)
    assert steps == plan.total
    assert plan.periods == max([finished, *(last for _, last, _ in legs)])


@pytest.mark.parametrize(
    ("plan", "step", "finished", "legs"),
    [
        (Plan(epoch=5, period=5, total=20), 7, 1, [(1, 2, 3), (2, 4, 5)]),
        (Plan(epoch=5, period=5, total=20), 10, 1, [(1, 2, 0), (2, 4, 5)]),
        (Plan(epoch=5, period=5, total=20), 10, 2, [(2, 4, 5)]),
        (Plan(epoch=5, period=4, total=10), 3, 0, [(0, 1, 1), (1, 2, 4), (2, 3, 2)]),
        (Plan(epoch=5, period=4, total=10), 9, 2, [(2, 3, 1)]),
        (Plan(epoch=5, period=4, total=10), 10, 2, [(2, 3, 0)]),
    ],
)
def test_the_legs_from_within_a_period(plan, step, finished, legs):
    assert list(plan.legs(finished, plan.begun(step, finished))) == legs
    assert step + sum((b - a) * n for a, b, n in legs) == plan.total


def test_the_schedule_is_a_line_and_a_cosine():
    initial, peak, final, warmup, total = 1e-5, 5e-4, 1e-4, 50, 500
    schedule = warmup_cosine(
        initial=initial,
        peak=peak,
        final_fraction=final / peak,
        warmup=warmup,
        total=total,
    )
    for step in (0, 1, 25, 49, 50, 51, 200, 499, 500, 10_000):
        if step < warmup:
            wanted = initial + (peak - initial) * step / warmup
        else:
            share = min((step - warmup) / (total - warmup), 1)
            wanted = final + (peak - final) * (1 + math.cos(math.pi * share)) / 2
        assert float(schedule(step)) == pytest.approx(wanted, rel=1e-5)


def test_a_rise_longer_than_the_fit_leaves_one_step():
    schedule = warmup_cosine(
        initial=0.0, peak=1.0, final_fraction=0.0, warmup=5000, total=10
    )
    assert float(schedule(9)) == pytest.approx(1.0)
    assert float(schedule(10)) == pytest.approx(0.0)


def test_without_a_rise_it_begins_at_the_peak():
    schedule = warmup_cosine(
        initial=0.0, peak=0.3, final_fraction=0.1, warmup=0, total=10
    )
    plain = keras.optimizers.schedules.CosineDecay(0.3, 10, alpha=0.1)
    assert float(schedule(0)) == pytest.approx(0.3)
    assert [float(schedule(s)) for s in range(11)] == [
        float(plain(s)) for s in range(11)
    ]
