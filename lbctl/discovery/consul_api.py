"""
Consul's HTTP API: questions that wait for a change, and what its answers say of themselves.

Owns which answers count: one from a Consul without a leader, or from one that has long lost touch
with it, is a failure and not news. What the answers mean is :mod:`lbctl.discovery.consul_read`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lbctl.discovery.http import Client
from lbctl.discovery.url import TlsFiles
from lbctl.errors import ProviderReplyError
from lbctl.settings.discovery import Consul

#: How long Consul holds a question that has no news, seconds; it adds up to a sixteenth itself.
WAIT_S: Final = 55.0
#: Then it is taken for dead, seconds: a sixteenth, and as long as any other answer may take.
_LATE_S: Final = WAIT_S / 16 + 10.0
#: Its own limit for an answer to any other question, seconds.
ANSWER_S: Final = 5.0
#: A server that has not heard of its leader for so long knows nothing new, seconds.
STALE_MAX_S: Final = 10.0
#: Connections: as many questions that wait as there are, and the short ones.
CONNECTIONS: Final = 12

_SECRETS: Final = "discovery.consul."


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Attributes:
        data: None: there is no such key.
        index: from which the next question of this kind waits; 0: it does not.
    """

    data: Any
    index: int


class ConsulApi:
    """
    Args:
        settings: whom to ask, and how.
        secrets: contents of the files that *settings* name, by dotted key.
        answer_s: how long a question that does not wait may take, seconds.

    Raises:
        ConfigError: the URL, or what TLS needs, cannot be used.
    """

    def __init__(
        self, settings: Consul, secrets: Mapping[str, bytes], answer_s: float = ANSWER_S
    ) -> None:
        self._answer_s = answer_s
        self._client = client_of(settings, secrets)
        self._tried = f"consul {self._client.target}"
        self._params = {"dc": settings.datacenter} if settings.datacenter else {}
        if settings.stale:
            self._params["stale"] = ""

    @property
    def target(self) -> str:
        """The URL, without secrets."""
        return self._client.target

    async def ask(
        self, path: str, index: int = 0, params: Mapping[str, str] | None = None
    ) -> Answer:
        """
        Args:
            path: quoted.
            index: 0: at once; else when there is news since then, or after :data:`WAIT_S`.
            params: of the query, beside those of every question.

        Raises:
            ProviderError: no answer, or none that counts.
        """
        query = {**self._params, **(params or {})}
        timeout_s = self._answer_s
        if index:
            query |= {"index": str(index), "wait": f"{WAIT_S:.0f}s"}
            timeout_s = WAIT_S + _LATE_S
        reply = await self._client.get_json(path, query, timeout_s, also=(404,))
        self._judge(reply.headers)
        return Answer(reply.data, next_index(index, reply.headers))

    async def ping(self) -> None:
        """
        Whether it is there, and has a leader: a question that waits says neither.

        Raises:
            ProviderError: it is not.
        """
        reply = await self._client.get_json("/v1/status/leader", self._params, self._answer_s)
        if not reply.data:
            message = f"{self._tried}: it has no leader"
            raise ProviderReplyError(message)

    async def close(self) -> None:
        await self._client.close()

    def _judge(self, headers: Mapping[str, str]) -> None:
        # Without a leader it still answers a question that is marked as stale.
        if headers.get("X-Consul-KnownLeader", "true") != "true":
            message = f"{self._tried}: it has no leader: what it says may be old"
            raise ProviderReplyError(message)
        contact = headers.get("X-Consul-LastContact", "0")
        if contact.isdecimal() and int(contact) > 1000 * STALE_MAX_S:
            told = f"has not heard of its leader for {int(contact) / 1000:.0f} s"
            message = f"{self._tried}: it {told}: what it says may be old"
            raise ProviderReplyError(message)


def client_of(settings: Consul, secrets: Mapping[str, bytes]) -> Client:
    """
    The registry asks the same Consul; arguments and errors as of :class:`ConsulApi`.
    """
    assert settings.url is not None
    token = secrets.get(f"{_SECRETS}token_file", b"").decode(errors="replace").strip()
    tls = TlsFiles(*(secrets.get(f"{_SECRETS}{name}_file") for name in ("ca", "cert", "key")))
    return Client("consul", settings.url, token=token or None, tls=tls, limit=CONNECTIONS)


def next_index(before: int, headers: Mapping[str, str]) -> int:
    """
    As HashiCorp asks of its clients: one that goes backwards starts over, and 0 never waits.

    A server that was restored from an older snapshot counts from there; who waited for the old
    number would wait for a long time.
    """
    said = headers.get("X-Consul-Index", "")
    index = int(said) if said.isdecimal() else 0
    return 0 if index < before else max(index, 1)
