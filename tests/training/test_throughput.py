"""Waiting for input is seen, computing is not mistaken for it."""

import math
import time

import pytest
import tensorflow as tf

from seqexp_tf.training.throughput import InputWait, Throughput


def _slow(seconds, count):
    def work(index):
        time.sleep(seconds)
        return index

    return tf.data.Dataset.range(count).map(
        lambda index: tf.ensure_shape(tf.numpy_function(work, [index], tf.int64), ())
    )


def test_what_a_loop_inside_keras_waits_for():
    wait = InputWait()
    batches = wait.watch(_slow(0.05, 4))
    began = time.perf_counter()
    assert list(batches.as_numpy_iterator()) == [0, 1, 2, 3]
    assert 0.2 <= wait.seconds <= time.perf_counter() - began


def test_what_is_ready_is_not_waited_for():
    wait = InputWait()
    iterator = iter(wait.watch(_slow(0.25, 4).prefetch(4)))
    assert int(next(iterator)) == 0
    first = wait.seconds
    time.sleep(2)
    assert [int(value) for value in iterator] == [1, 2, 3]
    assert first > 0.25
    assert wait.seconds - first < 0.25  # One of the three, had it been waited for.


def test_a_validation_alone_has_no_speed():
    callback = Throughput(InputWait(), batch_size=10)
    callback.set_params({"steps": 0})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    logs = {}
    callback.on_epoch_end(0, logs)
    assert set(logs) == set(Throughput.COLUMNS)
    assert all(math.isnan(value) for value in logs.values())


@pytest.mark.parametrize(
    ("steps", "skip", "counted"),
    # The first batch of a fit, in which graphs are traced, does not count.
    [(1, 1, 1), (5, 1, 4), (5, 2, 3), (2, 5, 1)],
)
def test_speed_and_share(monkeypatch, steps, skip, counted):
    now = 1000.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    wait = InputWait()
    callback = Throughput(wait, batch_size=10, skip=skip)
    callback.set_params({"steps": steps})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step in range(steps):
        callback.on_train_batch_begin(step)
        if step == 0 and steps > 1:
            wait.add(0.3)
            now += 0.3
        wait.add(0.01)
        now += 0.02
        callback.on_train_batch_end(step)
    now += 0.2  # Validation.
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert set(logs) == {"loss", *Throughput.COLUMNS}
    assert callback._steps == counted
    assert logs["examples_per_second"] == pytest.approx(10 / 0.02)
    assert logs["input_wait"] == pytest.approx(0.01 / 0.02)
    # All batches count in the next epoch of the same fit.
    callback.on_epoch_begin(1)
    for step in range(steps):
        callback.on_train_batch_begin(step)
        now += 0.04
        callback.on_train_batch_end(step)
    callback.on_epoch_end(1, logs)
    assert callback._steps == (steps if skip < steps else 1)
    assert logs["examples_per_second"] == pytest.approx(10 / 0.04)
    assert logs["input_wait"] == 0.0
