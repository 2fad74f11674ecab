"""Where a run was trained and its page made."""

import dataclasses

from seqexp_tf.report.run_section import _places
from seqexp_tf.training import environment
from seqexp_tf.training.environment import describe_environment, record_environment


def test_each_place_has_its_caption(tmp_path, monkeypatch):
    here = describe_environment()
    assert list(_places(tmp_path)) == [("Where this page was made", here)]
    there = dataclasses.replace(here, accelerators=("GPU:0: H200",))
    monkeypatch.setattr(environment, "describe_environment", lambda: there)
    record_environment(tmp_path, step=0)
    monkeypatch.undo()
    record_environment(tmp_path, step=1400)
    assert list(_places(tmp_path)) == [
        ("Where it was trained", there),
        ("Where it was trained, after step 1,400", here),
        ("Where this page was made", here),
    ]
