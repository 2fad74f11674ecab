"""Holds a running model server to what an export says: answers, refusals, load.

    python tools/serve_check.py models/yeast --grpc 127.0.0.1:8500 --rest 127.0.0.1:8501

Every answer is compared with that of the export in this process, loaded through the
SavedModel API; under load, of the version that the server says has answered. With
--roll-over, half-way through the load another version folder is put beside the first,
and no request may be lost or wrong while the server moves over. Exit code 0 means that
everything was as it should be.
"""

import functools
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from seqexp_tf.cli.options import FOLDER, load_tensorflow
from seqexp_tf.errors import SeqExpError

if TYPE_CHECKING:
    from seqexp_tf.prediction.model import PredictionModel

SIGNATURE = "serve_sequence"
TOLERANCE = 1e-5
_REQUESTS = 32
_TIMEOUT = 60.0
_LONGEST_ROLL_OVER = 120.0


@dataclass
class Load:
    """What clients saw.

    Attributes:
        answered: requests by version, in all.
        lost: messages of requests without an answer.
        wrong: messages of answers that differ from the export's.
        seconds: from request to answer.
    """

    answered: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def summary(self) -> str:
        """Returns one line of counts and of the latency."""
        versions = ", ".join(
            f"version {version} {count:,}"
            for version, count in sorted(self.answered.items())
        )
        middle, late = np.percentile(self.seconds or [float("nan")], [50, 99])
        return (
            f"{sum(self.answered.values()):,} answers ({versions}), {len(self.lost)} "
            f"lost, {len(self.wrong)} wrong; median {1e3 * middle:.0f} ms, 99 % within "
            f"{1e3 * late:.0f} ms"
        )


def requests_of(version: Path, count: int = _REQUESTS) -> list[dict[str, np.ndarray]]:
    """Returns requests of one row: the export's example with other DNA each."""
    from seqexp_tf.serving.card import read_card
    from seqexp_tf.serving.readme import REQUESTS

    card = read_card(version)
    text = (version / REQUESTS / f"{SIGNATURE}.json").read_text()
    example = json.loads(text)["inputs"]
    inputs = {
        name: np.array(example[name], dtype=tensor.dtype)
        for name, tensor in card.signatures[SIGNATURE].inputs.items()
        if tensor.dtype != "string"
    }
    rng = np.random.default_rng(0)
    length = len(example["dna"][0])
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    return [
        {"dna": np.array([rng.choice(letters, length).tobytes()], object), **inputs}
        for _ in range(count)
    ]


def answers_of(version: Path, requests: list[dict]) -> list[np.ndarray]:
    """Returns ``expression`` of an export for each request, in this process."""
    model = _opened(version)
    return [model.ask(request, ["expression"])["expression"] for request in requests]


@functools.cache
def _opened(version: Path) -> "PredictionModel":
    from seqexp_tf.prediction.model import open_model

    return open_model(version)


def check_refusals(address: str, name: str) -> list[str]:
    """Sends malformed requests over REST; returns what was not refused as it should."""
    import requests

    url = f"http://{address}/v1/models/{name}"
    cases = [
        ("no JSON", f"{url}:predict", "{", 400),
        ("no inputs", f"{url}:predict", json.dumps({"signature_name": SIGNATURE}), 400),
        (
            "an input too few",
            f"{url}:predict",
            json.dumps({"signature_name": SIGNATURE, "inputs": {"dna": ["ACGT"]}}),
            400,
        ),
        (
            "an unknown signature",
            f"{url}:predict",
            json.dumps({"signature_name": "serve_tea", "inputs": {"dna": ["A"]}}),
            400,
        ),
        ("an unknown model", f"{url}_else:predict", json.dumps({"inputs": {}}), 404),
        ("an unknown version", f"{url}/versions/999:predict", "{}", 404),
    ]
    problems = []
    for what, place, body, expected in cases:
        code = requests.post(place, data=body, timeout=_TIMEOUT).status_code
        # Releases differ in whether they read a request before they look for the model.
        if code not in (expected, 400):
            problems.append(f"{what}: HTTP {code}, expected {expected}")
    return problems


def check_answers(urls: list[str], version: Path) -> list[str]:
    """Compares single answers over each protocol with the export's."""
    from seqexp_tf.serving.client import Patience, connect

    requests = requests_of(version, 3)
    expected = answers_of(version, requests)
    problems = []
    for url in urls:
        with connect(url, patience=Patience(timeout=_TIMEOUT)) as client:
            client.pin()
            for request, wanted in zip(requests, expected, strict=True):
                found = client.predict(
                    request, signature=SIGNATURE, outputs=["expression"]
                )["expression"]
                difference = float(np.abs(found - wanted).max())
                if found.shape != wanted.shape or not difference <= TOLERANCE:
                    problems.append(f"{url}: differs by {difference:g}")
    return problems


def run_load(
    url: str,
    versions: dict[int, Path],
    *,
    clients: int,
    seconds: float,
    roll_over: Callable[[], int] | None = None,
) -> Load:
    """Has many clients ask at once, each with its own connection.

    Args:
        url: of a model over gRPC, which says what version answered.
        versions: exports by the number under which the server has them.
        clients: threads.
        seconds: for how long.
        roll_over: called after half of the time; adds a version to the server and
            returns its number. The load goes on until that one answers, for two
            minutes more at most.
    """
    from seqexp_tf.serving.client import Patience, connect

    requests = requests_of(next(iter(versions.values())))
    expected = {
        number: answers_of(version, requests) for number, version in versions.items()
    }
    load, lock = Load(), threading.Lock()
    start = time.monotonic()
    stop = threading.Event()

    def ask(number: int) -> None:
        rng = np.random.default_rng(number)
        with connect(url, patience=Patience(timeout=_TIMEOUT)) as client:
            while not stop.is_set():
                chosen = int(rng.integers(len(requests)))
                begin = time.monotonic()
                try:
                    answer, version = client.predict_version(
                        requests[chosen], signature=SIGNATURE, outputs=["expression"]
                    )
                except SeqExpError as error:
                    with lock:
                        load.lost.append(str(error))
                    continue
                took = time.monotonic() - begin
                wanted = expected.get(version)
                right = wanted is not None and np.allclose(
                    answer["expression"], wanted[chosen], rtol=0, atol=TOLERANCE
                )
                with lock:
                    load.answered[version] += 1
                    load.seconds.append(took)
                    if not right:
                        load.wrong.append(f"version {version}, request {chosen}")

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 2)
    if roll_over is not None:
        latest, limit = roll_over(), start + seconds + _LONGEST_ROLL_OVER
        while load.answered[latest] < clients and time.monotonic() < limit:
            time.sleep(0.1)
    time.sleep(max(start + seconds - time.monotonic(), 0))
    stop.set()
    for thread in threads:
        thread.join()
    return load


def add_version(version: Path, model: Path) -> int:
    """Puts a version folder into a model folder under the next number, at once."""
    from seqexp_tf.serving.model_server import versions

    number = max(versions(model)) + 1
    temporary = model / f"{number}.incomplete"
    shutil.copytree(version, temporary)
    temporary.rename(model / str(number))
    return number


@click.command(help=__doc__.replace("\n\n    python", "\n\n\b\n    python"))
@click.argument("model", type=FOLDER)
@click.option("--grpc", required=True, metavar="HOST:PORT")
@click.option("--rest", required=True, metavar="HOST:PORT")
@click.option("--clients", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--seconds", type=float, default=60.0, show_default=True)
@click.option(
    "--roll-over",
    type=FOLDER,
    metavar="VERSION",
    help="Version folder that becomes the next version of MODEL half-way.",
)
def command(
    model: Path,
    grpc: str,
    rest: str,
    clients: int,
    seconds: float,
    roll_over: Path | None,
) -> None:
    load_tensorflow()
    from seqexp_tf.serving.client import connect
    from seqexp_tf.serving.model_server import versions

    name, number = model.name, versions(model)[-1]
    url = f"grpc://{grpc}/{name}"
    exports = {number: model / str(number)}
    problems = check_answers([url, f"http://{rest}/{name}"], exports[number])
    problems += check_refusals(rest, name)
    click.echo(f"answers and refusals: {len(problems)} problems")
    add = None
    if roll_over is not None:
        exports[number + 1] = roll_over

        def add() -> int:
            return add_version(roll_over, model)

    begin = time.monotonic()
    load = run_load(url, exports, clients=clients, seconds=seconds, roll_over=add)
    took = time.monotonic() - begin
    click.echo(f"{clients} clients, {took:.0f} s: {load.summary()}")
    problems += sorted(set(load.lost))[:5] + sorted(set(load.wrong))[:5]
    problems += [
        f"version {version} never answered"
        for version in exports
        if not load.answered[version]
    ]
    with connect(url) as client:
        latest = client.pin()
    if latest != max(exports):
        problems.append(f"version {latest} answers last, expected {max(exports)}")
    for problem in problems:
        click.echo(problem, err=True)
    raise SystemExit(1 if problems else 0)


if __name__ == "__main__":
    command()
