"""
The rules of lb.yaml that types do not say. Pure: a rule sees values, not files.

:data:`VALUE_RULES` look at one value that has the right type, :data:`RULES_ACROSS` at the settings
as a whole. Each answers None, or what the value must be.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Final

from lbctl.model.service import ServiceTimeouts
from lbctl.settings import ha_rules, source_rules, web_rules
from lbctl.settings.model import Settings, Timeouts

#: HAProxy's longest time, about 24.8 days: "timer overflow" beyond.
TIME_MAX_MS: Final = 2**31 - 1

_TIME: Final = re.compile(r"([0-9]+)(us|ms|s|m|h|d)?")
_UNIT_MS: Final[Mapping[str | None, float]] = {
    "us": 0.001,
    "ms": 1,
    None: 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
}
_BIND: Final = re.compile(r"(?P<host>[^\[\]:]*|\[[^\[\]]*\]):(?P<port>[1-9][0-9]{0,4})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def text_problem(text: str) -> str | None:
    """Text ends up in lines of generated files: nothing in it may end a line."""
    if _CONTROL.search(text):
        return "must not hold line breaks or other control characters"
    return None


def time_problem(text: str) -> str | None:
    """HAProxy's time format (HAProxy doc/configuration.txt, 2.4)."""
    match = _TIME.fullmatch(text)
    if match is None:
        return "must be a time as HAProxy writes it: 500ms, 5s, 1m, 1h (no unit: milliseconds)"
    digits = match[1].lstrip("0")
    # Microseconds take 13 digits at most; longer ones need no arithmetic, and int() limits them.
    if len(digits) > 13 or int(digits or 0) * _UNIT_MS[match[2]] > TIME_MAX_MS:
        return f"must be at most {TIME_MAX_MS} ms (24 days): HAProxy counts no further"
    return None


def address_problem(text: str) -> str | None:
    """An address to listen on, without port."""
    if text == "*" or _ip(text) is not None:
        return None
    return "must be an IP address (127.0.0.1, ::1, [::1]) or *"


def bind_problem(text: str) -> str | None:
    """``[address]:port``; an IPv6 address in brackets, since its colons would swallow the port."""
    match = _BIND.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return "must be [address]:port, as in :80, *:80, 192.0.2.1:8080, [::]:80"
    host = match["host"]
    if host in ("", "*") or (_ip(host) is not None and (":" in host) == host.startswith("[")):
        return None
    return f"must be [address]:port, and {host!r} is no IP address"


def interface_problem(text: str) -> str | None:
    """The kernel's rule for names (Linux net/core/dev.c, dev_valid_name)."""
    is_name = (
        len(text.encode()) <= 15 and not re.search(r"[\s/:]", text) and text not in (".", "..")
    )
    return None if is_name else "must be the name of a network interface, as in eth0, or auto"


def link_problem(text: str) -> str | None:
    """An interface by its name."""
    if text == "auto":
        return "must be the name of a network interface, as in eth1"
    return interface_problem(text)


def account_problem(text: str) -> str | None:
    """A user of this host, as it stands in /etc/passwd."""
    if re.search(r"[\s:/]", text) or text.startswith("-"):
        return "must be the name of a user of this host, or auto"
    return None


def login_problem(text: str) -> str | None:
    """HTTP basic authentication ends the name at the first colon (RFC 7617)."""
    return "must not hold a colon" if ":" in text else None


def path_problem(path: str) -> str | None:
    """A file to read; whether it is there is seen when it is read."""
    return None if path.strip() else "must be the path of a file, or null"


def number_problem(path: str, number: object) -> str | None:
    """What to say to a number where text is wanted; None: only the quotes are missing."""
    rule = VALUE_RULES.get(path)
    if rule is time_problem:
        # 5 is five milliseconds: quotes alone would hide what was hardly meant.
        return "must be a time with its unit, as in 5s or 500ms"
    return rule(str(number)) if rule else None


#: By key. A rule gets text that the model takes.
VALUE_RULES: Final[Mapping[str, Callable[[str], str | None]]] = {
    "user": account_problem,
    "ha.interface": interface_problem,
    "ha.track[].name": ha_rules.name_problem,
    "ha.track[].http": ha_rules.url_problem,
    "ha.track[].expect": ha_rules.expect_problem,
    "ha.track[].tcp": ha_rules.target_problem,
    "ha.track[].link": link_problem,
    "haproxy.hard_stop_after": time_problem,
    **{f"haproxy.timeouts.{one.name}": time_problem for one in fields(Timeouts)},
    "haproxy.stats.bind": address_problem,
    "haproxy.stats.user": login_problem,
    "haproxy.stats.password_file": path_problem,
    "http.bind": bind_problem,
    "http.tls_bind": bind_problem,
    "http.foreign_redirect": web_rules.redirect_problem,
    "http.health_path": web_rules.path_problem,
    **{
        f"services[].{route}.{name}": rule
        for route in ("route", "routes[]")
        for name, rule in (
            ("path", web_rules.route_path_problem),
            ("host", web_rules.route_host_problem),
        )
    },
    "services[].balance": web_rules.balance_problem,
    "services[].cookie": web_rules.token_problem,
    "services[].cookie.name": web_rules.token_problem,
    "services[].check.path": web_rules.check_path_problem,
    "services[].check.host": web_rules.host_port_problem,
    "services[].check.expect": ha_rules.expect_problem,
    **{f"services[].timeouts.{one.name}": time_problem for one in fields(ServiceTimeouts)},
    "services[].tls.ca_file": web_rules.file_problem,
    "services[].tls.sni": web_rules.host_problem,
    "services[].dns": web_rules.dns_problem,
    "services[].servers[].address": web_rules.address_problem,
    "api.bind": bind_problem,
    **source_rules.VALUES,
}

#: The same for lists. One that is not here names each item once.
LIST_RULES: Final[Mapping[str, Callable[[Sequence[str]], str | None]]] = {
    "ha.peers": lambda peers: _once(peers) or ha_rules.peers_problem(peers),
    "ha.track[].command": ha_rules.command_problem,
    "ha.groups[].addresses": ha_rules.addresses_problem,
    "haproxy.peers.hosts": lambda hosts: _once(hosts) or web_rules.own_addresses_problem(hosts),
    "http.internal_hosts": web_rules.globs_problem,
    "http.known_hosts": web_rules.hosts_problem,
    "services[].allow": web_rules.networks_problem,
    "services[].deny": web_rules.networks_problem,
    **source_rules.LISTS,
}


def value_problem(path: str, value: object) -> str | None:
    """What *value*, which has the type of the key *path*, must be in addition; None: it is."""
    if isinstance(value, str):
        rule = VALUE_RULES.get(path) or source_rules.MAPPINGS.get(path.rpartition(".")[0])
        return text_problem(value) or (rule(value) if rule else None)
    if isinstance(value, list):
        if what := next((what for one in value if (what := _item_problem(one))), None):
            return what
        return LIST_RULES.get(path, _once)(value)
    return None


def _item_problem(item: object) -> str | None:
    return text_problem(item) if isinstance(item, str) else None


def _once(items: Sequence[object]) -> str | None:
    twice = sorted({item for item in items if isinstance(item, str) and items.count(item) > 1})
    return f"must name each once; twice: {', '.join(twice)}" if twice else None


@dataclass(frozen=True, slots=True)
class RuleAcross:
    """
    A rule about several keys.

    Attributes:
        paths: the keys it looks at; the first one that was given is reported as the place.
        problem: None, or the whole sentence.
    """

    paths: tuple[str, ...]
    problem: Callable[[Settings], str | None]


def is_loopback(address: str) -> bool:
    """Whether an address to listen on is reached from this host alone; ``*`` is not."""
    ip = _ip(address)
    return ip is not None and ip.is_loopback


def _stats_are_guarded(settings: Settings) -> str | None:
    stats = settings.haproxy.stats
    if is_loopback(stats.bind) or stats.password_file is not None:
        return None
    return (
        f"haproxy.stats.bind = {stats.bind!r}: anyone who reaches it may read the statistics: "
        "set haproxy.stats.password_file, or bind to 127.0.0.1"
    )


def _stats_ports_exist(settings: Settings) -> str | None:
    # With ``auto`` the number is known on the host alone, where it is checked again.
    processes = settings.haproxy.processes
    base = settings.haproxy.stats.port_base
    if processes == "auto" or base + processes - 1 <= 65535:
        return None
    return (
        f"haproxy.stats.port_base = {base}: with haproxy.processes = {processes} the last process "
        f"would listen on {base + processes - 1}: must be {65535 - processes + 1} or less"
    )


def _binds_differ(settings: Settings) -> str | None:
    http = settings.http
    if http.bind.removeprefix("*") != http.tls_bind.removeprefix("*"):
        return None
    return f"http.bind and http.tls_bind are both {http.bind!r}: must differ"


def _peers_ports_exist(settings: Settings) -> str | None:
    haproxy = settings.haproxy
    count = 1 if haproxy.processes == "auto" else haproxy.processes
    base, stats = haproxy.peers.port_base, haproxy.stats.port_base
    if base + count - 1 > 65535:
        return (
            f"haproxy.peers.port_base = {base}: with haproxy.processes = {count} the last process "
            f"would listen on {base + count - 1}: must be {65535 - count + 1} or less"
        )
    if abs(base - stats) < count:
        return (
            f"haproxy.peers.port_base = {base}: haproxy.stats.port_base = {stats} is too near: "
            "each process needs a port of both"
        )
    return None


def _gather_ends(settings: Settings) -> str | None:
    apply = settings.apply
    if apply.gather_ms <= apply.gather_max_ms:
        return None
    return (
        f"apply.gather_ms = {apply.gather_ms}: must be at most apply.gather_max_ms = "
        f"{apply.gather_max_ms}"
    )


RULES_ACROSS: Final = (
    RuleAcross(("haproxy.stats.bind", "haproxy.stats.password_file"), _stats_are_guarded),
    RuleAcross(("haproxy.stats.port_base", "haproxy.processes"), _stats_ports_exist),
    RuleAcross(
        ("haproxy.peers.port_base", "haproxy.processes", "haproxy.stats.port_base"),
        _peers_ports_exist,
    ),
    RuleAcross(("http.bind", "http.tls_bind"), _binds_differ),
    RuleAcross(("apply.gather_ms", "apply.gather_max_ms"), _gather_ends),
    *(
        RuleAcross((f"ha.{name}", "ha.engine"), partial(ha_rules.native_only_problem, name))
        for name in ha_rules.NATIVE_ONLY
    ),
    RuleAcross(("ha.dead_ratio", "ha.engine"), ha_rules.dead_ratio_problem),
    *(RuleAcross(paths, problem) for paths, problem in source_rules.ACROSS),
)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") and ":" in text else text
    try:
        return None if "%" in bare else ipaddress.ip_address(bare)
    except ValueError:
        return None
