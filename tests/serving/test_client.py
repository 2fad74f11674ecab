"""The client against a server that knows the SavedModel API alone."""

import functools
import socket
import threading

import numpy as np
import pytest
import requests
from fixtures.ports import free_ports

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.prediction.model import open_model
from seqexp_tf.serving.client import Patience, connect
from seqexp_tf.serving.transport import Address, one_line

SCHEMES = ["grpc", "http"]
QUICK = Patience(timeout=20, retries=1)
ASK = {"signature": "serve_sequence", "outputs": ["expression"]}


@pytest.fixture(scope="module")
def opened():
    """Opens an export once."""
    return functools.cache(open_model)


def joint_request(rows=3, length=128, seed=0):
    rng = np.random.default_rng(seed)
    dna = ["".join(rng.choice(list("ACGTN"), length)).encode() for _ in range(rows)]
    labels = rng.choice([0, 0.5, 1], (rows, length)).astype(np.float32)
    return {"dna": np.array(dna, dtype=object), "expression": labels}


def gene_request(gene_version, rows=3, seed=0):
    from seqexp_tf.serving.card import read_card

    rng = np.random.default_rng(seed)
    inputs = read_card(gene_version).signatures["serve_sequence"].inputs
    arrays = {
        name: rng.gamma(1.0, 1.0, (rows, *card.shape[1:])).astype(np.float32)
        for name, card in inputs.items()
        if card.dtype == "float32"
    }
    dna = ["".join(rng.choice(list("ACGT"), 128)).encode() for _ in range(rows)]
    average = np.arange(rows) % 2 == 0
    return {"dna": np.array(dna, object), **arrays, "average_strands": average}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_answers_as_the_export_does(
    server, opened, joint_version, gene_version, scheme
):
    for version, request, outputs in [
        (joint_version, joint_request(), ["expression", "sequence"]),
        (joint_version, joint_request(), ["expression"]),
        (gene_version, gene_request(gene_version), ["expression", "mask"]),
    ]:
        expected = opened(version).ask(request, outputs)
        with connect(server.url(scheme, version.parent.name)) as client:
            assert client.pin() == 1
            found = client.predict(request, signature="serve_sequence", outputs=outputs)
        assert set(found) == set(outputs)
        for name, values in found.items():
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_warm_up_requests_were_replayed(server):
    for name, signatures in (("joint", 3), ("genes", 3)):
        line = server.wait_for(event="loaded", model=name, version=1)
        assert line["warm_up"] == signatures


@pytest.mark.parametrize("scheme", SCHEMES)
def test_unknown_models_and_versions(server, scheme):
    with connect(server.url(scheme, "jont"), patience=QUICK) as client:
        with pytest.raises(RunError, match="the server has no model 'jont' that is"):
            client.pin()
        with pytest.raises(RunError, match="the server has no model 'jont' that is"):
            client.predict(joint_request(), **ASK)
    with connect(server.url(scheme, "joint/7"), patience=QUICK) as client:
        message = (
            r"no version 7 of 'joint', but 1; ask joint/1, or joint for the latest"
        )
        with pytest.raises(RunError, match=message):
            client.pin()
        with pytest.raises(RunError, match=message):
            client.predict(joint_request(), **ASK)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dna": np.array([b"ACGT", b"AC-T", b"A"], object)}, r"dna\[1\] has the byte"),
        ({"dna": np.array([b"A" * 129] * 3, object)}, r"has 129 bases; expected 1 to"),
        ({"dna": np.array([b"", b"A", b"A"], object)}, r"dna\[0\] is empty"),
        ({"expression": np.full((3, 5), 0.5, "f4")}, "expression has 5 columns"),
        ({"expression": np.full((2, 128), 0.5, "f4")}, "expression has the shape"),
        ({"expression": np.full((3, 128), 7, "f4")}, "expected 0, 1, or 0.5"),
        ({"expression": np.array([b"A"] * 3, object)}, "expression|float"),
    ],
)
def test_refusals_are_one_line(server, scheme, change, message):
    with connect(server.url(scheme, "joint"), patience=QUICK) as client:
        with pytest.raises(RunError, match=message) as refusal:
            client.predict(joint_request() | change, **ASK)
    text = str(refusal.value)
    assert "\n" not in text and "the server refuses the request" in text


@pytest.mark.parametrize("scheme", SCHEMES)
def test_other_models_are_told(server, scheme):
    with connect(server.url(scheme, "joint"), patience=QUICK) as client:
        with pytest.raises(RunError, match="has another layout .*export it again"):
            client.predict(joint_request(), signature="serve_x", outputs=["y"])
        request = {"dna": joint_request()["dna"]}
        with pytest.raises(RunError, match="takes other inputs; name .*signature"):
            client.predict(request, **ASK)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_port_of_the_other_protocol(server, scheme):
    other = "http" if scheme == "grpc" else "grpc"
    url = server.url(other, "joint").replace(other, scheme)
    with connect(url, patience=QUICK) as client:
        message = f"^{url}: this port does not speak {scheme}; try {other}://"
        with pytest.raises(RunError, match=message):
            client.pin()


def test_a_server_that_stops_in_the_middle(server):
    with connect(server.url("http", "joint"), patience=QUICK) as client:
        client.predict(joint_request(), **ASK)
        client._transport._url = f"http://127.0.0.1:{free_ports(1)[0]}/v1/models/joint"
        message = r"the server has stopped answering, after 2 tries .*; start it again"
        with pytest.raises(RunError, match=message):
            client.predict(joint_request(), **ASK)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_is_down(scheme):
    url = f"{scheme}://127.0.0.1:{free_ports(1)[0]}/joint"
    with connect(url, patience=QUICK) as client:
        message = rf"{url}: no server answers, after 2 tries in \d+ s .*; start it"
        with pytest.raises(RunError, match=message):
            client.predict(joint_request(), **ASK)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server_that_says_nothing(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/joint"
        with connect(url, patience=Patience(timeout=1, retries=0)) as client:
            with pytest.raises(RunError, match="no answer within 1 s for a batch of 3"):
                client.predict(joint_request(), **ASK)


def test_a_server_that_starts_late_is_waited_for(joint_version, opened, server):
    """Nothing listens at first; then connections reach the real server."""
    (port,) = free_ports(1)
    target = ("127.0.0.1", server.rest)
    ends = []

    def serve():
        listener = socket.create_server(("127.0.0.1", port))
        ends.append(listener)
        incoming, _ = listener.accept()
        outgoing = socket.create_connection(target)
        ends.extend([incoming, outgoing])
        for source, sink in ((incoming, outgoing), (outgoing, incoming)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()

    timer = threading.Timer(0.6, serve)
    timer.start()
    url = f"http://127.0.0.1:{port}/joint"
    with connect(url, patience=Patience(timeout=20, retries=6)) as client:
        found = client.predict(joint_request(), **ASK)
    timer.join()
    for end in ends:
        end.close()
    expected = opened(joint_version).ask(joint_request(), ["expression"])
    np.testing.assert_allclose(found["expression"], expected["expression"], atol=1e-5)


def _copy(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass


@pytest.fixture(scope="module")
def small_server(models_folder, start_server):
    """A server that takes small requests, small batches, and its time."""
    limits = ["--max-bytes", 6000, "--max-batch-size", 4, "--delay", 0.05]
    with start_server(models_folder, *limits) as running:
        yield running


@pytest.mark.parametrize("scheme", SCHEMES)
def test_large_batches_are_split(small_server, joint_version, opened, scheme):
    request = joint_request(rows=23)
    expected = opened(joint_version).ask(request, ["expression"])["expression"]
    with connect(small_server.url(scheme, "joint"), patience=QUICK) as client:
        for _ in range(2):
            found = client.predict(request, **ASK)["expression"]
            np.testing.assert_allclose(found, expected, atol=1e-5)
        # By size over REST, whose texts are longer, or to the limit of batches.
        assert client._most in (2, 4)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_single_sequence_that_is_too_large(small_server, gene_version, scheme):
    request = gene_request(gene_version, rows=1)
    request["signals"] = np.zeros((1, 5000, 1), np.float32)
    with connect(small_server.url(scheme, "genes"), patience=QUICK) as client:
        message = r"one sequence makes a request of 0.0 MB.*raise its limit: --grpc"
        with pytest.raises(RunError, match=message):
            client.predict(request, **ASK)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slow_server(small_server, scheme):
    patience = Patience(timeout=0.02, retries=3)
    with connect(small_server.url(scheme, "joint"), patience=patience) as client:
        with pytest.raises(RunError, match="no answer within 0.02 s for a batch of 1"):
            client.predict(joint_request(rows=1), **ASK)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("grpc://host/m", Address("grpc", "host", 8500, "m")),
        ("http://host/m/3", Address("http", "host", 8501, "m", 3)),
        ("https://a.b:9/m-1.x/", Address("https", "a.b", 9, "m-1.x")),
        ("grpc://[::1]:85/m", Address("grpc", "::1", 85, "m")),
    ],
)
def test_addresses(url, address):
    assert Address.parse(url) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("host:8500/m", "scheme 'host'"),
        ("gprc://host:8500/m", 'did you mean "grpc"'),
        ("grpc://host:8500", "expected grpc://HOST:8500/NAME"),
        ("grpc://host:8500/m/x", "expected grpc://HOST:8500/NAME"),
        ("http://host:8501/v1/models/m", "expected grpc://HOST:8500/NAME"),
        ("grpc://host:port/m", "expected grpc://HOST:8500/NAME"),
    ],
)
def test_wrong_addresses(url, message):
    with pytest.raises(ConfigError, match=message):
        connect(url)


def test_what_a_person_reads_of_an_assertion():
    raw = "assertion failed: [dna[0] is empty] [Op:Assert]\n\t [[{{node x}}]]"
    assert one_line(raw).startswith("dna[0] is empty")
    assert one_line("a\nb") == "a"


def test_the_rest_of_the_rest_interface(server):
    base = f"http://127.0.0.1:{server.rest}/v1/models"
    status = requests.get(f"{base}/joint", timeout=10).json()
    assert status["model_version_status"][0]["state"] == "AVAILABLE"
    metadata = requests.get(f"{base}/joint/metadata", timeout=10).json()
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) >= {"serving_default", "serve_sequence"}
    rows = [{"dna": "ACGT", "expression": [0.5] * 4}] * 2
    body = {"signature_name": "serve_sequence", "instances": rows}
    answer = requests.post(f"{base}/joint:predict", json=body, timeout=10).json()
    assert len(answer["predictions"]) == 2
