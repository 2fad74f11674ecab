"""A client of TF Serving that retries, splits batches and says what is wrong."""

import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqexp_tf.config import require
from seqexp_tf.errors import RunError
from seqexp_tf.serving.transport import Address, Kind, Transport, Unanswered, size_of

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_OTHER_PROTOCOL = re.compile("parsing HTTP/2|BadStatusLine")
_BATCH_LIMIT = re.compile(
    r"Task size \d+ is larger than maximum input batch size (\d+)"
)


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        timeout: seconds for one answer.
        retries: tries after the first where the server is unavailable, with pauses
            that grow from half a second to ten.
    """

    timeout: float = 60.0
    retries: int = 5

    def __post_init__(self) -> None:
        require(self.timeout > 0, f"timeout is {self.timeout:g}; it must be above 0")
        require(
            self.retries >= 0, f"retries is {self.retries}; it must not be negative"
        )


class Client:
    """One model of a server; a context manager.

    A batch that the server finds too large is sent in parts, and so is every later
    one. Threads need a client each.

    Args:
        address: of the model.
        transport: the way there.
        patience: time-out and retries.

    Example:

    ```python
    with connect("grpc://localhost:8500/yeast") as client:
        client.predict({"dna": ..., "expression": ...}, signature="serve_sequence",
                       outputs=["expression"])
    ```
    """

    def __init__(
        self, address: Address, transport: Transport, patience: Patience
    ) -> None:
        self.address = address
        self._transport = transport
        self._patience = patience
        self._most: int | None = None
        self._answered = False

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self._transport.close()

    def pin(self) -> int:
        """Asks only one version from now on, the latest unless another is named.

        So predictions of one client are never those of two models.

        Raises:
            RunError: the server does not answer, or has no such model or version.
        """
        versions = self._patiently(self._versions, batch=1)
        wanted = self.address.version
        if wanted is None and versions:
            wanted = versions[-1]
        if wanted not in versions:
            raise RunError(self._unknown(versions))
        self.address = replace(self.address, version=wanted)
        return wanted

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str],
    ) -> dict[str, np.ndarray]:
        """Returns outputs of a signature.

        Args:
            inputs: arrays, batch first; texts as an array of ``bytes`` objects.
            signature: its name.
            outputs: those wanted.

        Raises:
            RunError: the server is down or slow, has no such model, or refuses the
                request; in one line.
        """
        return self.predict_version(inputs, signature=signature, outputs=outputs)[0]

    def predict_version(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str],
    ) -> tuple[dict[str, np.ndarray], int | None]:
        """Does as ``predict`` and also returns the version that answered.

        It is None where the protocol does not say. A batch sent in parts has that of
        the last part.
        """
        count = len(next(iter(inputs.values())))
        parts: list[dict[str, np.ndarray]] = []
        version, first = None, 0
        while first < count:
            most = min(self._most or count, count - first)
            part = {name: x[first : first + most] for name, x in inputs.items()}
            try:
                found, version = self._patiently(
                    lambda part=part: self._transport.predict(
                        part,
                        signature=signature,
                        outputs=outputs,
                        version=self.address.version,
                        timeout=self._patience.timeout,
                    ),
                    batch=most,
                )
            except Unanswered as error:
                self._most = self._fewer(error, most, part)
                continue
            parts.append(found)
            first += most
        if len(parts) == 1:
            return parts[0], version
        return {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0]
        }, version

    def _versions(self) -> list[int]:
        return self._transport.versions(timeout=self._patience.timeout)

    def _patiently(self, call, *, batch: int):
        """Calls, again where the server is unavailable.

        Raises:
            Unanswered: the request is too large.
            RunError: anything else is wrong.
        """
        begin = time.monotonic()
        for attempt in range(self._patience.retries + 1):
            try:
                answer = call()
                self._answered = True
                return answer
            except Unanswered as error:
                if error.kind is Kind.TOO_LARGE or _BATCH_LIMIT.search(error.message):
                    raise
                if _OTHER_PROTOCOL.search(error.message):
                    raise RunError(self._other_protocol()) from None
                if error.kind is not Kind.UNAVAILABLE:
                    raise RunError(self._explain(error, batch)) from None
                last = error
            if attempt < self._patience.retries:
                pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
                # Many clients of one server must not come back together.
                time.sleep(pause * random.uniform(0.5, 1.0))
        tries = self._patience.retries + 1
        what, remedy = "no server answers", "start it, or check host and port"
        if self._answered:
            what = "the server has stopped answering"
            remedy = "start it again, and then this command"
        raise RunError(
            f"{self.address}: {what}, after {tries} "
            f"{'try' if tries == 1 else 'tries'} in {time.monotonic() - begin:.0f} s "
            f"({last.message}); {remedy}"
        )

    def _fewer(
        self, error: Unanswered, batch: int, part: Mapping[str, np.ndarray]
    ) -> int:
        """Returns how many sequences to send at once after too many."""
        limit = _BATCH_LIMIT.search(error.message)
        fewer = int(limit.group(1)) if limit else batch // 2
        if 1 <= fewer < batch:
            return fewer
        raise RunError(
            f"{self.address}: one sequence makes a request of "
            f"{size_of(part) / 1e6:,.1f} MB, more than the server or a proxy before it "
            f"takes ({error.message}); raise its limit: --grpc_channel_arguments="
            "grpc.max_receive_message_length=BYTES of TF Serving, "
            "client_max_body_size of nginx"
        ) from None

    def _other_protocol(self) -> str:
        scheme = self.address.scheme
        other = "http" if scheme == "grpc" else "grpc"
        return (
            f"{self.address}: this port does not speak {scheme}; try {other}://, or "
            f"the port of {scheme}"
        )

    def _explain(self, error: Unanswered, batch: int) -> str:
        if error.kind is Kind.SLOW:
            return (
                f"{self.address}: no answer within {self._patience.timeout:g} s for a "
                f"batch of {batch:,}; raise --timeout or lower --batch-size"
            )
        if error.kind is Kind.UNKNOWN:
            try:
                versions = self._versions()
            except Unanswered:
                versions = []
            return self._unknown(versions)
        if "Serving signature key" in error.message:
            return (
                f"{self.address}: the model there has another layout "
                f"({error.message}); export it again with this seqexp-tf"
            )
        if "does not match signature" in error.message:
            return (
                f"{self.address}: the model there takes other inputs; name the model "
                f"that was exported from what is predicted with ({error.message})"
            )
        verb = "refuses the request" if error.kind is Kind.REFUSED else "fails"
        return f"{self.address}: the server {verb}: {error.message}"

    def _unknown(self, versions: Sequence[int]) -> str:
        name, version = self.address.model, self.address.version
        if not versions:
            return (
                f"{self.address}: the server has no model {name!r} that is ready; "
                "compare the name with its models.config and its log"
            )
        listed = ", ".join(map(str, versions))
        return (
            f"{self.address}: the server has no version {version} of {name!r}, but "
            f"{listed}; ask {name}/{versions[-1]}, or {name} for the latest"
        )


def connect(url: str, *, patience: Patience | None = None) -> Client:
    """Returns a client of ``grpc://HOST:8500/NAME`` or ``http://HOST:8501/NAME``.

    Nothing is sent yet. ``/VERSION`` after the name asks for one version.

    Raises:
        ConfigError: not such an address.
        RunError: gRPC without the packages of the extra ``serving``.
    """
    address = Address.parse(url)
    patience = patience or Patience()
    if address.scheme != "grpc":
        from seqexp_tf.serving.rest_transport import RestTransport

        return Client(address, RestTransport(address), patience)
    try:
        from seqexp_tf.serving.grpc_transport import GrpcTransport
    except ModuleNotFoundError as error:
        raise RunError(
            f"{url}: gRPC needs {error.name}: pip install 'seqexp-tf[serving]'; "
            "http:// works without"
        ) from None
    return Client(address, GrpcTransport(address), patience)
