"""
Cells in Consul's KV store: one key each, replaced by check-and-set on its ModifyIndex.

Source: https://developer.hashicorp.com/consul/api-docs/kv.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final
from urllib.parse import quote

from lbctl.discovery.http import Client
from lbctl.errors import ProviderReplyError
from lbctl.registry.store import Cell, Kind

#: Consul takes 512 KB (``limits.kv_max_value_size``).
VALUE_MAX_BYTES: Final = 500_000
#: For every question, seconds.
ANSWER_S: Final = 5.0


class ConsulCells:
    """
    Args:
        client: of Consul's HTTP API; closed with this.
        prefix: of all keys.
        datacenter: None: that of the agent which is asked.
    """

    is_shared = True

    def __init__(
        self,
        client: Client,
        prefix: str,
        datacenter: str | None = None,
        *,
        most_bytes: int = VALUE_MAX_BYTES,
    ) -> None:
        self.most_bytes = most_bytes
        self._client = client
        self._prefix = prefix.strip("/")
        self._params = {"dc": datacenter} if datacenter else {}

    @property
    def target(self) -> str:
        return f"consul {self._client.target}, {self._prefix}/"

    async def names(self, kind: Kind) -> tuple[str, ...]:
        keys = await self._read(kind, "", {"keys": ""})
        if keys is None:
            return ()
        opening = f"{self._prefix}/{kind}/"
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self._odd(kind, "")
        return tuple(key[len(opening) :] for key in keys if key.startswith(opening))

    async def get(self, kind: Kind, name: str) -> Cell | None:
        found = await self._read(kind, name, {})
        if found is None:
            return None
        try:
            value, version = found[0]["Value"], found[0]["ModifyIndex"]
            return Cell(base64.b64decode(value or "", validate=True), int(version))
        except (LookupError, TypeError, ValueError, binascii.Error) as error:
            raise self._odd(kind, name) from error

    async def put(self, kind: Kind, name: str, value: bytes, version: int) -> bool:
        params = {**self._params, "cas": str(version)}
        reply = await self._client.put(self._path(kind, name), value, params, ANSWER_S)
        if not isinstance(reply.data, bool):
            raise self._odd(kind, name)
        return reply.data

    async def delete(self, kind: Kind, name: str) -> None:
        await self._client.delete(self._path(kind, name), self._params, ANSWER_S)

    async def close(self) -> None:
        await self._client.close()

    async def _read(self, kind: Kind, name: str, more: dict[str, str]) -> Any:
        """What Consul's leader has, and no other server; None: no such key."""
        params = {**self._params, **more, "consistent": ""}
        reply = await self._client.get_json(self._path(kind, name), params, ANSWER_S, also=(404,))
        return reply.data

    def _path(self, kind: Kind, name: str) -> str:
        return f"/v1/kv/{quote(f'{self._prefix}/{kind}/{name}')}"

    def _odd(self, kind: Kind, name: str) -> ProviderReplyError:
        message = f"{self.target}{kind}/{name}: the answer makes no sense; nothing was changed"
        return ProviderReplyError(message)
