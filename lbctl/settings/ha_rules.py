"""
The rules of ``ha`` that types do not say: targets of checks, lists of addresses, groups.

Pure, as :mod:`lbctl.settings.rules`, which names the keys that each of them is for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from lbctl.settings.addresses import parsed, virtual_address_problem
from lbctl.settings.keys import Key
from lbctl.settings.model import Ha, Settings

_Problem = tuple[int, str]
_Records = Sequence[Mapping[str, Any] | None]

#: What a check may look at: exactly one of them.
LOOKS: Final = ("http", "tcp", "command", "link", "program")
#: Programs that are tracked by a word of their own.
TRACKED: Final = ("haproxy", "nginx")

#: Keys without a meaning for ucarp, and what it does instead.
_NATIVE_ONLY: Final[Mapping[str, str]] = {
    "advbase_ms": "ucarp speaks every ha.advbase_s seconds",
    "failback_s": "ucarp takes the addresses back at once",
    "peers": "ucarp speaks to the multicast group alone",
    "groups": "one ucarp elects one group",
}
NATIVE_ONLY: Final = tuple(_NATIVE_ONLY)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_EXPECT: Final = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_TARGET: Final = re.compile(r"(?P<host>\[[^\[\]]+\]|[^\[\]:\s/]+):(?P<port>[1-9][0-9]{0,4})")
#: RFC 9110, 5.6.2: what the name of a header may be made of.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def name_problem(text: str) -> str | None:
    """A check's name stands in logs and in the environment of the operator's hooks."""
    if text in TRACKED:
        return "is tracked by that word already: choose another name"
    if _NAME.fullmatch(text):
        return None
    return "must be letters, digits and ._- (at most 40)"


def url_problem(text: str) -> str | None:
    """A URL that the agent can ask."""
    rule = "must be a URL, as in http://127.0.0.1:8080/health"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return rule
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or " " in text:
        return rule
    if url.username is not None or url.password is not None:
        return "must hold no user and no password: others may read lb.yaml"
    return None


def target_problem(text: str) -> str | None:
    """``host:port``; an IPv6 address in brackets."""
    match = _TARGET.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return "must be host:port, as in 127.0.0.1:5432 or [::1]:5432"
    host = match["host"]
    if host.startswith("[") and _version(host[1:-1]) != 6:
        return f"must be host:port, and {host} is no IPv6 address"
    return None


def expect_problem(text: str) -> str | None:
    """Statuses of HTTP: one, or the lowest and the highest."""
    match = _EXPECT.fullmatch(text)
    if match and int(match[1]) <= int(match[2] or match[1]):
        return None
    return "must be HTTP statuses, as in 200 or 200-399"


def expected(text: str) -> tuple[int, int]:
    """``200-399`` -> ``(200, 399)``; *text* is one that :func:`expect_problem` takes."""
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def command_problem(argv: Sequence[str]) -> str | None:
    """No shell and no PATH: what runs is what is written."""
    if argv and argv[0].startswith("/"):
        return None
    return "must be an absolute path and its arguments, as in [/usr/local/bin/look, -q]"


def peers_problem(peers: Sequence[str]) -> str | None:
    """The other nodes, each by one address of its own."""
    for peer in peers:
        address = ipaddress.IPv4Address(peer) if _version(peer) == 4 else None
        if address is None:
            return f"{peer!r} is no IPv4 address"
        if address.is_multicast or address.is_loopback or address.is_unspecified:
            return f"{peer} is no other node's address"
        if str(address) == "255.255.255.255":
            return f"{peer} is no other node's address"
    return None


def addresses_problem(addresses: Sequence[str]) -> str | None:
    """Those of a further group; CARP signs the first one, and knows IPv4 alone."""
    for word in addresses:
        if what := virtual_address_problem(word):
            return what
    hosts = [_host(word) for word in addresses]
    twice = sorted({host for host in hosts if hosts.count(host) > 1})
    if twice:
        return f"must name each once; twice: {', '.join(twice)}"
    if ":" in hosts[0]:
        return "must begin with an IPv4 address: CARP speaks no IPv6"
    return None


def lacking_problem(key: Key, names: Container[str]) -> str | None:
    """What a mapping of the list *key* that has these *names* misses."""
    lacking = [name for name, one in key.members.items() if one.is_required and name not in names]
    return f"{' and '.join(lacking)} is missing" if lacking else None


def record_problems(key: Key, records: _Records) -> Iterator[_Problem]:
    """
    What is wrong with the mappings of a list, each as a whole and beside the others.

    Args:
        records: whole, and each value right by itself; None: a word, or a mapping that is not.

    Yields:
        The number of the mapping, and a sentence about it.
    """
    yield from _RECORDS[key.pattern](records)


def native_only_problem(name: str, settings: Settings) -> str | None:
    """A key that says something to the native engine, where ucarp speaks."""
    value = getattr(settings.ha, name)
    if settings.ha.engine == "native" or value == getattr(Ha(), name):
        return None
    shown = "" if name == "groups" else f" = {list(value) if name == 'peers' else value}"
    return f"ha.{name}{shown}: needs ha.engine: native: {_NATIVE_ONLY[name]}"


def dead_ratio_problem(settings: Settings) -> str | None:
    """The native engine sends each advertisement twice in an interval: one of two may be lost."""
    if settings.ha.engine != "native" or settings.ha.dead_ratio > 1:
        return None
    return (
        "ha.dead_ratio = 1: with ha.engine: native one lost packet would move the addresses: "
        "must be 2 or more; for the same dead time halve ha.advbase_ms"
    )


def _check_problems(checks: _Records) -> Iterator[_Problem]:
    first: dict[str, int] = {}
    for index, check in enumerate(checks):
        if check is None:
            continue
        name = check["name"]
        if name in first:
            yield index, f"another check is named {name}, ha.track[{first[name]}]: choose another"
        first.setdefault(name, index)
        if what := _check_problem(check):
            yield index, what


def _check_problem(check: Mapping[str, Any]) -> str | None:
    looks = [look for look in LOOKS if look in check]
    if len(looks) != 1:
        given = f"; given: {', '.join(looks)}" if looks else ""
        return f"must have one of {', '.join(LOOKS)}{given}"
    alien = [name for name in ("headers", "expect") if name in check and looks != ["http"]]
    if alien:
        return f"{' and '.join(alien)} go with http, and this one looks at {looks[0]}"
    odd = [name for name in check.get("headers", {}) if not _TOKEN.fullmatch(name)]
    if odd:
        return f"{odd[0]!r} cannot be the name of a header"
    if "timeout_s" in check and looks[0] in ("link", "program"):
        return f"timeout_s: a {looks[0]} is not asked, its change is noticed"
    return None


def _group_problems(groups: _Records) -> Iterator[_Problem]:
    hosts: dict[str, int] = {}
    vhids: dict[int, int] = {}
    for index, group in enumerate(groups):
        if group is None:
            continue
        for host in map(_host, group["addresses"]):
            if host in hosts:
                yield index, f"{host} is in ha.groups[{hosts[host]}] too: an address has one group"
            hosts.setdefault(host, index)
        vhid = group.get("vhid", "auto")
        if vhid in vhids:
            yield index, f"vhid {vhid} is that of ha.groups[{vhids[vhid]}] too: must differ"
        if vhid != "auto":
            vhids.setdefault(vhid, index)


_RECORDS: Final = {"ha.track": _check_problems, "ha.groups": _group_problems}


def _host(word: str) -> str:
    """The address alone, in one form."""
    interface = parsed(word)
    return str(interface.ip) if interface else word


def _version(text: str) -> int | None:
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return None
