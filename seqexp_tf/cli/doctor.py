"""``seqexp-tf doctor``"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqexp_tf.cli.options import load_tensorflow

if TYPE_CHECKING:
    from seqexp_tf.doctor import Finding


@click.command()
def command() -> None:
    """Check the installation and time one step on each device.

    Prints versions, devices, free memory and disk, and windows/s of a training step
    of the CNN (batch 8, 2,048 bp). Checks that every required package is there in a
    version that agrees, that TensorFlow, Keras and TensorFlow Probability work
    together (a gradient through a Beta sample), and that TensorFlow sees every GPU.
    Every problem is one line with its remedy; the exit code is 1 if there is any.

    \b
    Example:
      seqexp-tf doctor
    """
    from seqexp_tf import doctor

    problems = _show(doctor.check_versions())
    problems += _show(doctor.check_requirements())
    problems += _show(doctor.check_imports())
    broken = _show(doctor.check_frameworks(load_tensorflow))
    problems += broken
    if not broken:
        problems += _show(doctor.check_devices())
    problems += _show(doctor.check_space(Path.cwd()))
    if not broken:
        problems += _show(doctor.check_training_step())
    for problem in problems:
        click.echo(f"Problem: {problem}", err=True)
    if problems:
        raise click.exceptions.Exit(1)
    click.echo("All well.")


def _show(findings: "Iterable[Finding]") -> list[str]:
    """Prints findings as they come and returns the problems among them."""
    problems = []
    for finding in findings:
        mark = "!" if finding.problem else " "
        click.echo(f"{mark} {finding.name:<24}{finding.value}")
        if finding.problem:
            problems.append(finding.problem)
    return problems
