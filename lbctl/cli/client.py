"""
The agent's API as a command sees it: HTTP over the Unix socket in the run dir.

The border where sockets' errors and HTTP's status codes become lbctl's errors and exit codes.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lbctl.errors import (
    EXIT_NOT_MASTER,
    ConfigError,
    LbctlError,
    NotMasterError,
    Problem,
    UnreachableError,
    UsageError,
    ValidationError,
)
from lbctl.layout import RunDir

ANSWER_S = 5.0
_WITH_PROBLEMS: Final = {error.exit_code: error for error in (ConfigError, ValidationError)}


class NotDoneError(UnreachableError):
    """
    The agent tried, and it came to nothing.

    Attributes:
        report: how far it went.
    """

    def __init__(self, message: str, report: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.report = dict(report)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ApiClient:
    """
    Asks the agent of the bundle in *run*.

    Raises:
        UnreachableError: no agent, no answer in time, or one that makes no sense.
        NotDoneError: it was tried, and came to nothing.
        NotMasterError: asked of a BACKUP what only a MASTER can do.
        ConfigError, ValidationError: the operator's files are refused, with every problem.
        UsageError: the question makes no sense to it.
        LbctlError: the agent refused; its own words.
    """

    def __init__(self, run: RunDir) -> None:
        self._socket = run.api_socket

    def get(self, path: str, *, limit_s: float = ANSWER_S) -> Any:
        """The JSON at *path*."""
        return self._ask("GET", path, None, limit_s)

    def post(self, path: str, body: dict[str, Any], *, limit_s: float = ANSWER_S) -> Any:
        """What *path* answers to *body*."""
        return self._ask("POST", path, json.dumps(body), limit_s)

    def stream(self, path: str) -> Iterator[dict[str, Any]]:
        """Server-sent events, each one's data, until the agent ends."""
        yield from (said for _, said in self.stream_events(path))

    def stream_events(
        self, path: str, on_open: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """
        Server-sent events, kind and data, until the agent ends.

        Args:
            on_open: called when the agent has answered.
        """
        kind = ""
        with self._answer("GET", path, None, None, "text/event-stream") as response:
            on_open()
            while line := response.readline():
                if line.startswith(b"event: "):
                    kind = line.removeprefix(b"event: ").decode().strip()
                elif line.startswith(b"data: "):
                    yield kind, json.loads(line.removeprefix(b"data: "))

    def _ask(self, method: str, path: str, body: str | None, limit_s: float) -> Any:
        with self._answer(method, path, body, limit_s, "application/json") as response:
            return json.loads(response.read())

    @contextmanager
    def _answer(
        self, method: str, path: str, body: str | None, limit_s: float | None, accept: str
    ) -> Iterator[http.client.HTTPResponse]:
        tried = f"the agent at {self._socket}: {method} {path}"
        connection = _UnixConnection(self._socket, limit_s)
        try:
            connection.request(method, path, body, {"Accept": accept})
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            yield response
        except TimeoutError as error:
            message = f"{tried}: no answer in {limit_s:g} s"
            raise UnreachableError(message) from error
        except PermissionError as error:
            message = f"{tried}: permission denied; root and the bundle's own user may ask"
            raise UnreachableError(message) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            message = f"{tried}: {error.strerror}; no bundle runs on this --run-dir?"
            raise UnreachableError(message) from error
        except OSError as error:
            message = f"{tried}: {error.strerror or error}"
            raise UnreachableError(message) from error
        except (http.client.HTTPException, ValueError) as error:
            message = f"{tried}: the answer makes no sense: {error!r}"
            raise UnreachableError(message) from error
        finally:
            connection.close()


def _refusal(status: int, body: bytes) -> LbctlError:
    try:
        answer = json.loads(body)
        text, code = str(answer["error"]), int(answer.get("code", 0))
        report = answer.get("report")
    except (ValueError, KeyError, TypeError):
        text, code = f"HTTP {status}: {body[:200]!r}", 0
        report = None
    if code in _WITH_PROBLEMS and isinstance(report, dict):
        problems = [Problem(one["where"], one["what"]) for one in report.get("problems", ())]
        return _WITH_PROBLEMS[code](problems or [Problem("the agent", text)])
    if code == EXIT_NOT_MASTER:
        return NotMasterError(text)
    if isinstance(report, dict) and code == UnreachableError.exit_code:
        return NotDoneError(text, report)
    if code == UsageError.exit_code:
        return UsageError(text)
    return UnreachableError(text) if code == UnreachableError.exit_code else LbctlError(text)
