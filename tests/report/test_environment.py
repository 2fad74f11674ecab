"""The account of a machine and its packages."""

import platform

from seqexp_tf.report.environment import describe_environment


def test_it_names_versions_and_machine():
    found = describe_environment()
    assert found.versions["Python"] == platform.python_version()
    assert {"seqexp-tf", "tensorflow", "keras", "numpy"} <= set(found.versions)
    assert found.processor.endswith("used")
    assert found.backend in ("tensorflow", "jax")
    assert found.memory is None or found.memory > 1 << 28
