"""
One instance of a service as Consul tells of it: where it is, and whether it serves.

Pure. An entry of ``/v1/health/service/NAME`` holds ``Node``, ``Service`` and ``Checks``; it comes
from whoever may register, so every part of it is looked at before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final, Literal

from lbctl.model.address import bracketed
from lbctl.settings.keys import name_shown

State = Literal["ready", "drain", "maint"]

#: The check of Consul's own that a node has: whether its agent is heard of.
_SERF: Final = "serfHealth"
_MAINTENANCE: Final = ("_node_maintenance", "_service_maintenance:")
_SEVERITY: Final = {"passing": 0, "warning": 1, "critical": 2}
_PORT_MAX: Final = 65535
_WEIGHT_MAX: Final = 65535


class InstanceError(ValueError):
    """An entry that cannot be a server; its text is a sentence's end: ``has no port``."""


@dataclass(frozen=True, slots=True)
class Health:
    """
    What the checks of an instance come to.

    Attributes:
        severity: of the worst check beside the two below: 0 passing, 1 warning, 2 critical.
        is_lost: Consul does not hear of its node.
        is_maintained: somebody has set it or its node to maintenance.
    """

    severity: int = 0
    is_lost: bool = False
    is_maintained: bool = False

    def seen(self) -> Health:
        """As if its node were heard of."""
        return replace(self, is_lost=False)

    def state(self, *, is_passing_only: bool) -> State:
        """What HAProxy is told, as long as Consul is believed about nodes."""
        if self.is_lost or self.severity >= (1 if is_passing_only else 2):
            return "maint"
        return "drain" if self.is_maintained else "ready"


@dataclass(frozen=True, slots=True)
class Instance:
    """
    Attributes:
        node: its node's name.
        id: as it was registered; another node may have one with the same.
        age: it came into the catalog before those with a higher number.
        said: and was told of as it is now before those with a higher number.
        address: with port.
        weight: Consul's, 1..65535.
        tags: in its order.
        meta: words of its own.
        health: see there.
    """

    node: str
    id: str
    age: int
    said: int
    address: str
    weight: int
    tags: tuple[str, ...]
    meta: Mapping[str, str]
    health: Health

    @property
    def shown(self) -> str:
        """``hello1 on node web1``, for sentences."""
        return f"{name_shown(self.id)} on node {name_shown(self.node)}"


def read_instance(entry: object) -> Instance:
    """
    Raises:
        InstanceError: it cannot be a server.
    """
    node, service = _mapping(entry, "Node"), _mapping(entry, "Service")
    checks = _items(_mapping({"": entry}, "").get("Checks"))
    health = read_health(checks)
    return Instance(
        node=_text(node, "Node"),
        id=_text(service, "ID"),
        age=_number(service, "CreateIndex"),
        said=_number(service, "ModifyIndex"),
        address=_address(node, service),
        weight=_weight(service, health),
        tags=tuple(tag for tag in _items(service.get("Tags")) if isinstance(tag, str)),
        meta=_words(service.get("Meta")),
        health=health,
    )


def name_of(entry: object) -> str:
    """Who *entry* is about, for sentences, whatever is wrong with it."""
    node, service = (_mapping(entry, part) for part in ("Node", "Service"))
    identity, where = _text(service, "ID") or "?", _text(node, "Node") or "?"
    return f"{name_shown(identity)} on node {name_shown(where)}"


def read_health(checks: Iterable[object]) -> Health:
    """The worst of the checks; a status that is not known is critical, as Consul has it."""
    severity, is_lost, is_maintained = 0, False, False
    for check in checks:
        fields: Mapping[str, Any] = check if isinstance(check, dict) else {}
        found = _SEVERITY.get(_text(fields, "Status"), 2)
        identity = _text(fields, "CheckID")
        if identity.startswith(_MAINTENANCE):
            is_maintained |= found > 0
        elif identity == _SERF:
            is_lost |= found > 1
        else:
            severity = max(severity, found)
    return Health(severity, is_lost, is_maintained)


def _address(node: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    port = _number(service, "Port")
    if not 0 < port <= _PORT_MAX:
        what = "has no port" if port == 0 else f"has the port {port}"
        raise InstanceError(what)
    host = _text(service, "Address") or _text(node, "Address")
    if not host:
        message = "has no address"
        raise InstanceError(message)
    try:
        # HAProxy would connect to wherever the client has connected to: to itself.
        is_anywhere = ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        is_anywhere = False
    if is_anywhere:
        message = f"has the address {host}, which is none"
        raise InstanceError(message)
    return f"{bracketed(host)}:{port}"


def _weight(service: Mapping[str, Any], health: Health) -> int:
    weights = _mapping(service, "Weights")
    said = _number(weights, "Warning" if health.severity == 1 else "Passing")
    return min(max(1, said), _WEIGHT_MAX)


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def _number(value: Mapping[str, Any], name: str) -> int:
    found = value.get(name)
    return found if isinstance(found, int) else 0


def _items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _words(value: object) -> Mapping[str, str]:
    found = value if isinstance(value, dict) else {}
    return {key: word for key, word in found.items() if isinstance(word, str)}
