"""What a client needs of the way to a server, whichever protocol it speaks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError

_PORTS = {"grpc": 8500, "http": 8501, "https": 443}
_PATH = re.compile(r"/([\w.-]+)(?:/(\d+))?/?")
_ASSERTION = re.compile(r"assertion failed: \[(.*)\]")


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    Attributes:
        scheme: ``grpc``, ``http`` or ``https``.
        host: name or number.
        port: of the server.
        model: its name there.
        version: None for the latest.
    """

    scheme: str
    host: str
    port: int
    model: str
    version: int | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Reads ``grpc://HOST:8500/NAME`` or ``http://HOST:8501/NAME/VERSION``.

        Raises:
            ConfigError: another scheme, or no host or name.
        """
        expected = "expected grpc://HOST:8500/NAME or http://HOST:8501/NAME, and "
        expected += "/VERSION after it for one version"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"server {url!r}: {error}; {expected}") from None
        if parts.scheme not in _PORTS:
            hint = nearest(parts.scheme, list(_PORTS))
            raise ConfigError(
                f"server {url!r}: scheme {parts.scheme!r}{hint}; {expected}"
            )
        match = _PATH.fullmatch(parts.path)
        if not parts.hostname or match is None or parts.query or parts.fragment:
            raise ConfigError(f"server {url!r}: {expected}")
        name, version = match.groups()
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            model=name,
            version=None if version is None else int(version),
        )

    @property
    def netloc(self) -> str:
        """``HOST:PORT``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        version = "" if self.version is None else f"/{self.version}"
        return f"{self.scheme}://{self.netloc}/{self.model}{version}"


class Kind(Enum):
    """Why a request was not answered."""

    UNAVAILABLE = "unavailable"
    SLOW = "slow"
    UNKNOWN = "unknown"
    TOO_LARGE = "too large"
    REFUSED = "refused"
    FAILED = "failed"


class Unanswered(Exception):
    """A request without an answer.

    Attributes:
        kind: why.
        message: what the server or the network says, in one line.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        message = one_line(message)
        super().__init__(message)
        self.kind = kind
        self.message = message


class Transport(Protocol):
    """One way to a server; calls raise ``Unanswered``."""

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str],
        version: int | None,
        timeout: float,
    ) -> tuple[dict[str, np.ndarray], int | None]:
        """Returns outputs, and the version that answered where that is said."""
        ...

    def versions(self, *, timeout: float) -> list[int]:
        """Returns the versions that are ready, in ascending order."""
        ...

    def close(self) -> None:
        """Closes connections."""
        ...


def one_line(message: str) -> str:
    """Returns what a person should read of a server's message."""
    found = _ASSERTION.search(message)
    text = found.group(1).strip("\"' ") if found else message.strip()
    return text.splitlines()[0] if text else "no reason given"


def size_of(inputs: Mapping[str, np.ndarray]) -> int:
    """Returns the bytes of a request's arrays."""
    return sum(
        sum(map(len, values)) if values.dtype == object else values.nbytes
        for values in inputs.values()
    )
