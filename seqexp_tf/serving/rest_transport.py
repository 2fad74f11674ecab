"""Requests to TF Serving's REST interface."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import requests

from seqexp_tf.serving.transport import Address, Kind, Unanswered

_KINDS = {
    400: Kind.REFUSED,
    404: Kind.UNKNOWN,
    413: Kind.TOO_LARGE,
    429: Kind.TOO_LARGE,
    502: Kind.UNAVAILABLE,
    503: Kind.UNAVAILABLE,
    504: Kind.SLOW,
}


class RestTransport:
    """A session with one model; see ``Transport``."""

    def __init__(self, address: Address) -> None:
        base = f"{address.scheme}://{address.netloc}/v1/models"
        self._url = f"{base}/{address.model}"
        self._session = requests.Session()

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str],
        version: int | None,
        timeout: float,
    ) -> tuple[dict[str, np.ndarray], int | None]:
        url = self._url if version is None else f"{self._url}/versions/{version}"
        body = {
            "signature_name": signature,
            "inputs": {name: _listed(values) for name, values in inputs.items()},
        }
        answer = self._call("POST", f"{url}:predict", timeout, json=body)
        found = answer.get("outputs")
        # A signature of one output gives it without its name.
        if not isinstance(found, dict):
            found = {outputs[0]: found} if len(outputs) == 1 else {}
        try:
            return {
                name: np.asarray(found[name], dtype=np.float32)
                for name in outputs
                if name in found
            }, None
        except (TypeError, ValueError) as error:
            raise Unanswered(Kind.FAILED, f"outputs are no arrays: {error}") from None

    def versions(self, *, timeout: float) -> list[int]:
        answer = self._call("GET", self._url, timeout)
        return sorted(
            int(status["version"])
            for status in answer.get("model_version_status", [])
            if status.get("state") == "AVAILABLE"
        )

    def close(self) -> None:
        self._session.close()

    def _call(self, method: str, url: str, timeout: float, **body: Any) -> dict:
        try:
            response = self._session.request(method, url, timeout=timeout, **body)
        except requests.Timeout as error:
            raise Unanswered(Kind.SLOW, str(error)) from None
        except requests.ConnectionError as error:
            raise Unanswered(Kind.UNAVAILABLE, _reason(error)) from None
        except requests.RequestException as error:
            raise Unanswered(Kind.FAILED, str(error)) from None
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.ok and isinstance(content, dict):
            return content
        if isinstance(content, dict) and "error" in content:
            message = str(content["error"])
        else:
            message = f"HTTP {response.status_code} {response.reason}"
        raise Unanswered(_KINDS.get(response.status_code, Kind.FAILED), message)


def _listed(values: np.ndarray) -> list:
    if values.dtype == object:
        return [value.decode("ascii") for value in values]
    return values.tolist()


def _reason(error: requests.ConnectionError) -> str:
    """Returns the innermost reason of a connection that failed."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "strerror", None):
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)
