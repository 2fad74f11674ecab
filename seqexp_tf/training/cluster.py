"""The processes that train one model together, as ``TF_CONFIG`` names them."""

import json
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from seqexp_tf.errors import ConfigError, RunError

VARIABLE = "TF_CONFIG"
_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
_ROLES = ("chief", "worker")
_SECONDS = 2.0
_PAUSE = 0.5
_PATIENCE = 10.0


@dataclass(frozen=True)
class Cluster:
    """Workers and which of them this process is.

    Attributes:
        workers: addresses, ``host:port``; the first one is the chief.
        index: this process among them.
    """

    workers: tuple[str, ...]
    index: int

    def silent(self) -> list[str]:
        """Returns the addresses of the other workers at which nothing listens."""
        others = [a for i, a in enumerate(self.workers) if i != self.index]
        return [address for address in others if not _listens(address)]

    def lost(self) -> list[str]:
        """Returns the addresses that have fallen silent, or fall so within 10 seconds.

        The connections of a process that ends may break before its port closes.
        """
        deadline = time.monotonic() + _PATIENCE
        while not (silent := self.silent()) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        return silent

    def gather(self, say: Callable[[str], None]) -> None:
        """Returns when every other worker listens, as this one does meanwhile.

        TensorFlow would wait, too, but silently, and no signal would end it.

        Args:
            say: told whom this worker waits for.

        Raises:
            RunError: the port of this worker is another program's.
        """
        silent = self.silent()
        if not silent:
            return
        mine = self.workers[self.index]
        try:
            listening = socket.create_server(
                ("", int(mine.rpartition(":")[2])), reuse_port=True
            )
        except OSError as error:
            raise RunError(
                f"{VARIABLE}: cannot listen at {mine} ({error.strerror}); give this "
                "worker another port, in the cluster of every worker"
            ) from None
        names = ", ".join(a if _resolves(a) else f"{a}, no such host" for a in silent)
        say(f"waiting for the other workers: {names} (see {VARIABLE})")
        with listening:
            while self.silent():
                time.sleep(_PAUSE)


def read_cluster(environment: Mapping[str, str]) -> Cluster | None:
    """Returns what ``TF_CONFIG`` says, or None where it names no workers.

    A cluster of one worker is none: platforms set the variable for single jobs too.

    Raises:
        ConfigError: it is malformed; names the part that is wrong.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        _refuse(f"not JSON ({error})")
    if not isinstance(content, dict):
        _refuse(f"{text[:60]} is no table")
    if not content.get("cluster"):
        return None
    roles = _roles(content["cluster"])
    workers = tuple(address for role in _ROLES for address in roles.get(role, ()))
    if not workers:
        return None
    for address in workers:
        host, _, port = str(address).rpartition(":")
        if not (host and re.fullmatch("[0-9]+", port) and 0 < int(port) < 1 << 16):
            _refuse(f"{address!r} is no address host:port")
    if len(set(workers)) < len(workers):
        twice = next(address for address in workers if workers.count(address) > 1)
        _refuse(f"{twice} is there twice; each worker needs an address of its own")
    index = _index(content.get("task"), roles)
    return Cluster(workers, index) if len(workers) > 1 else None


def _roles(cluster: Any) -> dict[str, list[str]]:
    if not isinstance(cluster, dict):
        _refuse(f"cluster is {cluster!r}, no table")
    for role, addresses in cluster.items():
        if role not in _ROLES:
            _refuse(f"cluster.{role} is of no use here; only chief and worker are")
        if not isinstance(addresses, list):
            _refuse(f"cluster.{role} is {addresses!r}, no list of addresses")
    if len(cluster.get("chief", ())) > 1:
        _refuse(f"cluster.chief has {len(cluster['chief'])} addresses; one at most")
    return cluster


def _index(task: Any, roles: dict[str, list[str]]) -> int:
    """Returns the number of a task, the chief's being 0."""
    if not isinstance(task, dict):
        _refuse("task is missing")
    role, index = task.get("type"), task.get("index")
    if role not in roles:
        _refuse(f"task.type is {role!r}, but the cluster has {', '.join(roles)}")
    if not isinstance(index, int) or not 0 <= index < len(roles[role]):
        _refuse(
            f"task.index is {index!r}, but the cluster has {len(roles[role])} of type "
            f"{role}, counted from 0"
        )
    return index + (len(roles.get("chief", ())) if role == "worker" else 0)


def _refuse(what: str) -> NoReturn:
    raise ConfigError(f"{VARIABLE}: {what}; for example {VARIABLE}='{_EXAMPLE}'")


def _listens(address: str) -> bool:
    try:
        with socket.create_connection(_host_and_port(address), _SECONDS):
            return True
    except OSError:
        return False


def _resolves(address: str) -> bool:
    try:
        socket.getaddrinfo(*_host_and_port(address))
    except socket.gaierror:
        return False
    return True


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
