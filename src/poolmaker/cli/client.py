"""A small client of the platform's own API, for commands."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import quote

from poolmaker.kernel.errors import EnvironmentProblem, PoolmakerError

TIMEOUT_S: Final = 30
_OK: Final = range(200, 300)


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
            query = f"?{cursor}={quote(after)}" if after else ""
            rows, after = self._call("GET", f"{path}{query}", None, {})
            found += rows
            if not after:
                return found

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        """Send a request under an Idempotency-Key; the same again moves nothing twice."""
        return self._call("POST", path, body, {"Idempotency-Key": key})[0]

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> tuple[Any, str]:
        """The answer, and where its list goes on."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        sent = {"Authorization": f"Bearer {self._token}", **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", content, sent)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EnvironmentProblem(
                f"no platform answers at http://{self._host}:{self._port} ({_reason(error)}); "
                "start it with: poolmaker up, or poolmaker demo"
            ) from None
        finally:
            connection.close()
        if response.status not in _OK:
            raise ApiRefused(answer)
        return answer, response.headers.get("Next-Cursor", "")


def _reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return (said or type(error).__name__).lower()
