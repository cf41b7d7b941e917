"""
What a Kubernetes Service says it is here: its name, its port, its words. Pure.

``lbctl.name``, ``lbctl.port`` and ``lbctl.route.host`` hold for the Service; with the name or the
number of a port behind ``lbctl.`` for that port alone, so that one Service may be several of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lbctl.discovery.kubernetes_read import EXTERNAL, KubeService, Port
from lbctl.discovery.labels import Words, read_words
from lbctl.settings.keys import KEYS
from lbctl.settings.layer import shown

#: Words that are not lb.yaml's.
_OWN: Final = ("name", "port", "enable")
_MODES: Final = ("http", "tcp")
_NO: Final = ("false", "no", "off", "0")
#: A port with the name of a word is meant by its number alone: ``lbctl.check.path`` is the check's.
_WORDS: Final = frozenset((*KEYS["services"].members, *KEYS["services"].members["servers"].members))


@dataclass(frozen=True, slots=True)
class Offer:
    """
    Attributes:
        name: of the service of ours.
        service: whose endpoints are its servers.
        port: of that Service, by name.
        words: about service and servers.
    """

    name: str
    service: KubeService
    mode: str
    port: Port
    words: Words


@dataclass(frozen=True, slots=True)
class Offers:
    """
    Attributes:
        problems: what was left out, and why: sentences that begin with the Service.
    """

    offers: tuple[Offer, ...] = ()
    problems: tuple[str, ...] = ()


def read_offers(service: KubeService, *, is_one_namespace: bool) -> Offers:
    """
    Args:
        is_one_namespace: names need not say which.
    """
    general, by_port = _gathered(service)
    if _is_off(general):
        return Offers()
    default = service.name if is_one_namespace else service.key
    offers: list[Offer] = []
    problems: list[str] = []
    said: list[tuple[Port | None, dict[str, str]]] = [
        (port, {**general, **words}) for port, words in by_port.items()
    ]
    for port, words in said or [(None, general)]:
        if _is_off(words):
            continue
        found = _offer(service, port, words, default)
        if isinstance(found, str):
            problems.append(f"Service {service.key} is left out: {found}")
            continue
        offers.append(found)
        problems += [f"Service {service.key}: {what}" for what in found.words.problems]
        if "id" in found.words.server:
            what = "lbctl.id is left out: each pod has its own"
            problems.append(f"Service {service.key}: {what}")
    return Offers(tuple(offers), tuple(dict.fromkeys(problems)))


def _gathered(service: KubeService) -> tuple[dict[str, str], dict[Port, dict[str, str]]]:
    """What is said for all ports, and for one."""
    general: dict[str, str] = {}
    by_port: dict[Port, dict[str, str]] = {}
    for name, value in service.words:
        first, _, rest = name.partition(".")
        port = _port(service, first) if rest and first not in _WORDS else None
        if port is None:
            general[name] = value
        else:
            by_port.setdefault(port, {})[rest] = value
    return general, by_port


def _offer(
    service: KubeService, port: Port | None, said: Mapping[str, str], default: str
) -> Offer | str:
    """What is offered; a sentence: why not."""
    words = read_words(said.items(), _OWN)
    name = words.own.get("name") or default
    if service.kind == EXTERNAL:
        return "it is of type ExternalName, and has no endpoints: write the name into lb.yaml"
    chosen = port or _chosen(service, words.own.get("port"))
    if isinstance(chosen, str):
        return chosen
    if chosen.protocol != "TCP":
        return f"its port {_named(chosen)} is {chosen.protocol}, not TCP"
    mode = str(words.service.get("mode") or "http")
    if mode not in _MODES:
        return f"lbctl.mode = {shown(mode)} is neither http nor tcp"
    return Offer(name, service, mode, chosen, words)


def _chosen(service: KubeService, said: str | None) -> Port | str:
    ports = [one for one in service.ports if one.protocol == "TCP"]
    known = ", ".join(map(_named, ports)) or "none"
    if said is not None:
        return _port(service, said) or f"it has no port {shown(said)} (its TCP ports: {known})"
    if not ports:
        return "it has no TCP port"
    if len(ports) == 1:
        return ports[0]
    return f"it has the ports {known}, and none is said: lbctl.port={_named(ports[0])}"


def _port(service: KubeService, said: str) -> Port | None:
    """By its name, or by its number."""
    return next((one for one in service.ports if said in (one.name, str(one.number))), None)


def _named(port: Port) -> str:
    return port.name or str(port.number)


def _is_off(words: Mapping[str, str]) -> bool:
    return words.get("enable", "").lower() in _NO
