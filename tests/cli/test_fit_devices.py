"""What ``fit`` refuses about the devices it is to run on, in one line."""

import pytest

from seqexp_tf.training import hardware


@pytest.mark.parametrize(
    ("options", "tf_config", "message"),
    [
        (["--require-gpu"], None, "--require-gpu: tensorflow sees no GPU; `seqexp-tf "),
        ([], "{", "TF_CONFIG: not JSON"),
        (["--set", "training.strategy=multiworker"], None, "needs TF_CONFIG to name"),
        (["--set", "training.strategy=many"], None, "training.strategy"),
        (["--set", "pipeline.streams=3"], None, "it must divide training.batch_size"),
        (["--set", "pipeline.streams=16"], None, "train has 4 shards, fewer than"),
        (
            [],
            '{"cluster": {"worker": ["a:1", "b:1"]}, '
            '"task": {"type": "worker", "index": 0}}',
            "pipeline.streams is 1, but TF_CONFIG names 2 workers",
        ),
    ],
)
def test_a_device_that_is_not_there(
    call, joint_folder, tmp_path, monkeypatch, options, tf_config, message
):
    monkeypatch.setattr(hardware, "gpus", lambda: [])
    if tf_config is not None:
        monkeypatch.setenv("TF_CONFIG", tf_config)
    run = tmp_path / "run"
    start = ["fit", "--preset", "cnn", "--data", joint_folder, "--out", run]
    code, out, error = call(*start, *options)
    assert (code, out) == (1, "")
    assert error.count("\n") == 1
    assert message in error
    assert not run.exists()
