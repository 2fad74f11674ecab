"""A measurement in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import click


def in_a_process(tool: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """Returns the last line that ``TOOL --worker ARGUMENTS`` prints, read as JSON.

    Raises:
        click.ClickException: it failed; with the end of what it said.
    """
    run = subprocess.run(
        [sys.executable, tool, "--worker", json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if run.returncode:
        raise click.ClickException(f"{arguments[0]}: {run.stderr.strip()[-500:]}")
    return json.loads(run.stdout.splitlines()[-1])
