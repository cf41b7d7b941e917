"""The agent of Consul that services are registered with, as the registrator asks and tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from lbctl.discovery.http import Client
from lbctl.errors import ProviderReplyError
from lbctl.registrator.registration import FORM, OWNER, Registration

#: Why a service is in maintenance: one of another reason is somebody else's word.
REASON: Final = "lbctl registrator: its container is stopping or paused"
_MAINTENANCE: Final = "_service_maintenance:"
_OURS: Final = "service:"


@dataclass(frozen=True, slots=True)
class Held:
    """
    What the agent has of ours.

    Attributes:
        forms: by id: what it was registered with; empty: not known.
        maintained: ids of services that we have set to maintenance.
    """

    forms: Mapping[str, str]
    maintained: frozenset[str]


class RegistryAgent:
    """
    Args:
        client: of Consul; ours from now on.
        host: whose services are ours.
    """

    def __init__(self, client: Client, host: str) -> None:
        self._client = client
        self._host = host

    @property
    def target(self) -> str:
        return self._client.target

    async def address(self) -> str:
        """
        What the agent's node is known by to others.

        Raises:
            ProviderError: no answer, or none that makes sense; this is so of all that follow.
        """
        path = "/v1/agent/self"
        address = _mapping((await self._mapping(path)).get("Member")).get("Addr")
        if not isinstance(address, str) or not address:
            raise self._senseless(path, "that of a member; --address would do without it")
        return address

    async def held(self) -> Held:
        """Services with our mark, and those of them in maintenance."""
        services = await self._mapping("/v1/agent/services")
        checks = await self._mapping("/v1/agent/checks")
        forms = {}
        for identity, one in services.items():
            meta = _mapping(_mapping(one).get("Meta"))
            if meta.get(OWNER) == self._host:
                forms[identity] = str(meta.get(FORM, ""))
        maintained = {
            key.removeprefix(_MAINTENANCE)
            for key, one in checks.items()
            if key.startswith(_MAINTENANCE) and _mapping(one).get("Notes") == REASON
        }
        return Held(forms, frozenset(maintained & forms.keys()))

    async def register(self, registration: Registration) -> None:
        params = {"replace-existing-checks": "true"}
        await self._client.put("/v1/agent/service/register", dict(registration.payload), params)

    async def deregister(self, identity: str) -> None:
        await self._client.put(f"/v1/agent/service/deregister/{quote(identity, safe='')}")

    async def maintain(self, identity: str, *, is_on: bool) -> None:
        path = f"/v1/agent/service/maintenance/{quote(identity, safe='')}"
        params = {"enable": "true" if is_on else "false", "reason": REASON}
        await self._client.put(path, None, params)

    async def keep_passing(self, identity: str) -> None:
        await self._client.put(f"/v1/agent/check/pass/{quote(_OURS + identity, safe='')}")

    async def close(self) -> None:
        await self._client.close()

    async def _mapping(self, path: str) -> Mapping[str, Any]:
        found = (await self._client.get_json(path)).data
        if not isinstance(found, dict):
            raise self._senseless(path, "a mapping")
        return found

    def _senseless(self, path: str, wanted: str) -> ProviderReplyError:
        tried = f"consul {self._client.target}: GET {path}"
        return ProviderReplyError(f"{tried}: the answer is not {wanted}")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
