"""A small client of the platform's own API, for commands."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import quote

from poolmaker.kernel.errors import EnvironmentProblem, OutcomeUnknown, PoolmakerError

TIMEOUT_S: Final = 30
_OK: Final = range(200, 300)
_OURS: Final = "Correlation-Id"
"""The header that is on every answer of a platform, and on no other program's."""
_SEND_AGAIN: Final = frozenset({"outcome_unknown", "internal"})
"""Problems that ask for the same request under the same key."""


def part(text: str) -> str:
    """One part of a path or one value of a query: whatever it holds, it names nothing beyond."""
    return quote(text, safe="")


class ApiRefused(PoolmakerError):
    """The API answered with a problem; the message is its sentences."""

    code = "api_refused"

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "the platform refused the request")))
        self.problem = problem


class Client:
    """Speaks to one platform with one token."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host = host
        self._port = port
        self._token = token

    def get(self, path: str) -> Any:
        """What is at ``path`` below /api/v1."""
        return self._call("GET", path, None, {})[0]

    def get_all(self, path: str, cursor: str = "after") -> list[Any]:
        """Every row of a list, however long; ``cursor`` is the parameter by which it goes on."""
        found, after = [], ""
        while True:
            query = f"?{cursor}={part(after)}" if after else ""
            rows, after = self._call("GET", f"{path}{query}", None, {})
            found += rows
            if not after:
                return found

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        """Send a request under an Idempotency-Key; the same again moves nothing twice.

        Raises OutcomeUnknown, with the key in its words, when it was sent and no answer came.
        """
        try:
            return self._call("POST", path, body, {"Idempotency-Key": key})[0]
        except ApiRefused as refusal:
            if refusal.problem.get("code") not in _SEND_AGAIN:
                raise
            said = f"{refusal} The key was: --key {key}"
            raise ApiRefused(refusal.problem | {"detail": said}) from None

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[Any, str]:
        """The answer, and where its list goes on."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.connect()
        except OSError as error:
            raise self._nobody(_reason(error)) from None
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", content, sent)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unanswered(_reason(error), headers.get("Idempotency-Key")) from None
        finally:
            connection.close()
        answer = self._read(response, text)
        if response.status not in _OK:
            raise ApiRefused(answer)
        return answer, response.headers.get("Next-Cursor", "")

    def _read(self, response: http.client.HTTPResponse, text: bytes) -> Any:
        """What a platform answered; what another program did is no answer at all."""
        if response.headers.get(_OURS):
            try:
                answer = json.loads(text)
            except (ValueError, RecursionError):
                answer = None
            if response.status in _OK or isinstance(answer, dict):
                return answer
        raise EnvironmentProblem(
            f"what answers at {self._place} is not this platform but another program; correct "
            "host and port in [web] of the configuration"
        )

    @property
    def _place(self) -> str:
        return f"http://{self._host}:{self._port}"

    def _nobody(self, reason: str) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"no platform answers at {self._place} ({reason}); start it with: poolmaker up, or "
            "poolmaker demo"
        )

    def _unanswered(self, reason: str, key: str | None) -> PoolmakerError:
        """The request may have arrived; of one that changes something nobody knows whether."""
        if key is None:
            return self._nobody(reason)
        return OutcomeUnknown(
            f"the request was sent to {self._place} and no answer came ({reason}), so it is not "
            f"known whether it was done; give the same command again with --key {key}"
        )


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return (said or type(error).__name__).lower()
