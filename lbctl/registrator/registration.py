"""
What a container is registered as in Consul: by its SERVICE_* variables and labels. Pure.

The words, their order and the forms of names and ids are those of gliderlabs' Registrator, which
this takes the place of: whoever was registered by it is registered alike. TCP alone: nothing else
is balanced.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lbctl.discovery.docker_read import Container
from lbctl.discovery.labels import of_mapping
from lbctl.model.address import bracketed

#: Whose it is, in what is registered: a crashed registrator's leavings are found by it.
OWNER: Final = "lbctl_registrator"
#: What it was registered with: unchanged, it is not registered again.
FORM: Final = "lbctl_registrator_form"

_WORD: Final = re.compile(r"SERVICE_(?:(\d{1,5})_)?([A-Za-z0-9_.-]+)")
_COMMA: Final = re.compile(r"(?<!\\),")
#: These make a registration; whatever else stands beside them is its meta.
_OWN: Final = frozenset(("name", "tags", "id", "ignore"))
#: Words of a container that a service in Consul has in other places.
_ELSEWHERE: Final = frozenset(("name", "service", "port", "enable"))
_META_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_META_MAX_BYTES: Final = 512
_META_MOST: Final = 64
_INTERVAL: Final = "10s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    Attributes:
        host: of whom all this is: the first part of ids.
        address: of published ports, where they are not published on one of their own.
        is_forced: *address* counts for those too.
        is_internal: a container's own address and port, in place of published ones.
        is_explicit: those without SERVICE_NAME are not registered.
        tags: of all services, beside their own.
        ttl_s: services that bring no check get one that we keep passing, seconds; None: none.
    """

    host: str
    address: str
    is_forced: bool = False
    is_internal: bool = False
    is_explicit: bool = False
    tags: tuple[str, ...] = ()
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """
    Attributes:
        id: in Consul.
        payload: of ``PUT /v1/agent/service/register``.
        is_leaving: its container was told to stop, or is paused: nobody new is sent to it.
        is_ours_to_pass: its check is kept passing by us.
    """

    id: str
    payload: Mapping[str, Any] = field(repr=False)
    is_leaving: bool = False
    is_ours_to_pass: bool = False

    @property
    def form(self) -> str:
        """The same for equal registrations."""
        return str(self.payload["Meta"][FORM])


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Attributes:
        by_id: all registrations.
        problems: what cannot be registered as it is said: sentences.
    """

    by_id: Mapping[str, Registration] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def wanted(containers: Iterable[Container], leaving: frozenset[str], rules: Rules) -> Wanted:
    """
    Args:
        containers: those that run.
        leaving: ids of those that were told to stop.
    """
    found: dict[str, Registration] = {}
    problems: list[str] = []
    for one in sorted(containers, key=lambda one: (one.created, one.id)):
        is_leaving = one.id in leaving or one.state in ("paused", "stopping")
        for registration in _of_container(one, rules, is_leaving, problems):
            if registration.id in found:
                what = f"container {one.name}: another one has the id {registration.id}"
                problems.append(f"{what}: it is left out")
            else:
                found[registration.id] = registration
    return Wanted(found, tuple(problems))


def _of_container(
    container: Container, rules: Rules, is_leaving: bool, problems: list[str]
) -> Iterator[Registration]:
    places = dict(_places(container, rules))
    for port, (address, number) in places.items():
        words, own = _words(container, port)
        if words.get("ignore") or (rules.is_explicit and not words.get("name")):
            continue
        name = words.get("name") or _image_name(container.image)
        if not name:
            problems.append(f"container {container.name}: has neither SERVICE_NAME nor an image")
            continue
        if len(places) > 1 and "name" not in own:
            name = f"{name}-{port}"
        check, what = _check(words, address, number, rules)
        told = [what] if what else []
        payload = {
            "ID": words.get("id") or f"{rules.host}:{container.name}:{port}",
            "Name": name,
            "Address": address,
            "Port": number,
            "Tags": [*_split(words.get("tags", "")), *rules.tags],
            **({"Check": check} if check else {}),
        }
        meta = {**dict(_meta(container, words, told)), OWNER: rules.host}
        problems += [f"container {container.name}: {what}" for what in told]
        is_ours = check is not None and "TTL" in check and not words.get("check_ttl")
        yield _registration(payload, meta, is_leaving=is_leaving, is_ours_to_pass=is_ours)


def _registration(
    payload: Mapping[str, Any], meta: Mapping[str, str], **flags: bool
) -> Registration:
    form = hashlib.sha256(json.dumps([payload, meta], sort_keys=True).encode()).hexdigest()[:16]
    whole = {**payload, "Meta": {**meta, FORM: form}}
    return Registration(id=str(payload["ID"]), payload=whole, **flags)


def _places(container: Container, rules: Rules) -> Iterator[tuple[int, tuple[str, int]]]:
    """Its own port, and where that is reached."""
    inside = next((one for found in container.networks.values() for one in found), "")
    for port in container.ports:
        if container.network_mode == "host":
            yield port, (rules.address, port)
        elif rules.is_internal:
            if inside:
                yield port, (inside, port)
        elif port in container.published:
            address, number = container.published[port]
            yield port, (rules.address if rules.is_forced or not address else address, number)


def _words(container: Container, port: int) -> tuple[dict[str, str], frozenset[str]]:
    """What is said for *port*, and which of it for this port alone; the environment counts more."""
    general: dict[str, str] = {}
    own: dict[str, str] = {}
    for name, value in (*container.labels.items(), *container.environ.items()):
        found = _WORD.fullmatch(name)
        if found is None:
            continue
        if found[1] is None:
            general[found[2].lower()] = value
        elif int(found[1]) == port:
            own[found[2].lower()] = value
    return {**general, **own}, frozenset(own)


def _image_name(image: str) -> str:
    """``example.com:5000/sirile/scala-boot-test:1`` is called ``scala-boot-test``."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _split(tags: str) -> list[str]:
    """At commas, but not where a backslash stands before one."""
    return [one.replace("\\,", ",") for part in _COMMA.split(tags) if (one := part.strip())]


def _check(
    words: Mapping[str, str], address: str, port: int, rules: Rules
) -> tuple[dict[str, str] | None, str]:
    """As Consul wants it; and what cannot be done."""
    problem = ""
    if words.get("check_script") or words.get("check_cmd"):
        problem = "SERVICE_CHECK_SCRIPT runs programs on the host: it is left out"
    check = _kind_of_check(words, f"{bracketed(address)}:{port}", rules)
    if not check:
        return None, problem
    if "TTL" not in check:
        check["Interval"] = words.get("check_interval") or _INTERVAL
        check |= {"Timeout": words["check_timeout"]} if words.get("check_timeout") else {}
    if after := words.get("check_deregister_after"):
        check["DeregisterCriticalServiceAfter"] = after
    if status := words.get("check_initial_status"):
        check["Status"] = status
    return check, problem


def _kind_of_check(words: Mapping[str, str], place: str, rules: Rules) -> dict[str, str]:
    for scheme in ("http", "https"):
        if path := words.get(f"check_{scheme}"):
            return {"HTTP": f"{scheme}://{place}{path}"}
    if words.get("check_ttl"):
        return {"TTL": words["check_ttl"]}
    if words.get("check_tcp"):
        return {"TCP": place}
    return {} if rules.ttl_s is None else {"TTL": f"{rules.ttl_s}s", "Status": "passing"}


def _meta(
    container: Container, words: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, str]]:
    """Of labels ``lbctl.route.host`` and of other SERVICE_ words, as far as Consul takes them."""
    labels = [
        (f"lbctl-{name.replace('.', '-')}", value)
        for name, value in of_mapping(container.labels)
        if name not in _ELSEWHERE and not name[:1].isdigit()
    ]
    others = [
        (name, value)
        for name, value in words.items()
        if name not in _OWN and not name.startswith("check_")
    ]
    taken = 0
    for name, value in (*labels, *others):
        is_good = _META_KEY.fullmatch(name) and len(value.encode()) <= _META_MAX_BYTES
        # Two are ours.
        if is_good and taken < _META_MOST - 2:
            taken += 1
            yield name, value
        else:
            problems.append(f"Consul has no place in its meta for {name[:80]!r}: it is left out")
