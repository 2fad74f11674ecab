"""What TF_CONFIG may say, and what it may not."""

import json
import socket
import threading
import time

import pytest
from fixtures.ports import free_ports

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.training import cluster
from seqexp_tf.training.cluster import Cluster, read_cluster

HOSTS = ["a:2222", "b:2222", "[::1]:3333"]


def _read(cluster=None, task=None, text=None):
    if text is None:
        text = json.dumps({"cluster": cluster, "task": task})
    return read_cluster({"TF_CONFIG": text})


def test_workers_are_numbered_and_a_chief_is_the_first():
    task = {"type": "worker", "index": 2}
    assert _read({"worker": HOSTS}, task) == Cluster(tuple(HOSTS), 2)
    with_chief = {"worker": HOSTS[1:], "chief": HOSTS[:1]}
    assert _read(with_chief, {"type": "worker", "index": 0}) == Cluster(tuple(HOSTS), 1)
    assert _read(with_chief, {"type": "chief", "index": 0}) == Cluster(tuple(HOSTS), 0)


def test_one_process_is_no_cluster():
    assert read_cluster({}) is None
    assert _read(text="  ") is None
    assert _read(text="{}") is None
    assert _read({"worker": HOSTS[:1]}, {"type": "worker", "index": 0}) is None
    assert _read({"worker": []}, {"type": "worker", "index": 0}) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", r"\[1\] is no table"),
        ('{"cluster": ["a:1"]}', "cluster is .* no table"),
        ('{"cluster": {"worker": "a:1"}}', "cluster.worker is 'a:1', no list"),
        ('{"cluster": {"ps": ["a:1"]}}', "cluster.ps is of no use here"),
        ('{"cluster": {"chief": ["a:1", "b:1"]}}', "cluster.chief has 2 addresses"),
        ('{"cluster": {"worker": ["a:1", "b"]}}', "'b' is no address host:port"),
        ('{"cluster": {"worker": ["a:1", "b:x"]}}', "'b:x' is no address"),
        ('{"cluster": {"worker": ["a:1", "b:70000"]}}', "'b:70000' is no address"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "a:1 is there twice"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "task is missing"),
    ],
)
def test_a_malformed_cluster_is_refused(text, message):
    with pytest.raises(ConfigError, match=f"^TF_CONFIG: {message}") as refusal:
        _read(text=text)
    assert 'for example TF_CONFIG=\'{"cluster"' in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"type": "chief", "index": 0}, "task.type is 'chief', but the cluster has"),
        ({"type": "worker", "index": 3}, "task.index is 3, but the cluster has 3"),
        ({"type": "worker", "index": "0"}, "task.index is '0'"),
        ({"type": "worker"}, "task.index is None"),
    ],
)
def test_a_task_outside_the_cluster_is_refused(task, message):
    with pytest.raises(ConfigError, match=message):
        _read({"worker": HOSTS}, task)


def test_who_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        here, alive, dead = (
            f"127.0.0.1:{port}"
            for port in (1, server.getsockname()[1], closed.getsockname()[1])
        )
        assert Cluster((here, alive, dead), 0).silent() == [dead]


def test_a_port_may_close_after_the_connections():
    with socket.create_server(("127.0.0.1", 0)) as server:
        dying = f"127.0.0.1:{server.getsockname()[1]}"
        later = threading.Timer(1.0, server.close)
        later.start()
        assert Cluster(("127.0.0.1:1", dying), 0).lost() == [dying]
        later.join()


def test_nobody_is_lost_where_all_answer(monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.7)
    with socket.create_server(("127.0.0.1", 0)) as server:
        alive = f"127.0.0.1:{server.getsockname()[1]}"
        assert Cluster(("127.0.0.1:1", alive), 0).lost() == []


def test_they_wait_for_each_other():
    hosts = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    said = []
    first = threading.Thread(target=Cluster(hosts, 0).gather, args=(said.append,))
    first.start()
    while not said:
        time.sleep(0.01)
    assert said == [f"waiting for the other workers: {hosts[1]} (see TF_CONFIG)"]
    assert first.is_alive()
    # The first listens, so the second has nothing to wait for, and begins.
    Cluster(hosts, 1).gather(said.append)
    with socket.create_server(("127.0.0.1", int(hosts[1].rpartition(":")[2]))):
        first.join(timeout=20)
        assert not first.is_alive()
    assert len(said) == 1


def test_a_host_that_nobody_knows_is_told(monkeypatch):
    mine = f"127.0.0.1:{free_ports(1)[0]}"
    said, unknown = [], "no-such-host.invalid:2222"
    monkeypatch.setattr(cluster, "_listens", lambda address: bool(said))
    Cluster((mine, unknown), 0).gather(said.append)
    assert said == [
        f"waiting for the other workers: {unknown}, no such host (see TF_CONFIG)"
    ]


def test_a_port_that_another_program_has():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mine, dead = (f"127.0.0.1:{s.getsockname()[1]}" for s in (taken, closed))
        with pytest.raises(RunError, match=f"cannot listen at {mine} .* another port"):
            Cluster((mine, dead), 0).gather(pytest.fail)
