"""
The rules for words of the web in lb.yaml: hosts, paths, addresses, networks, URLs.

Pure, as :mod:`lbctl.settings.rules`, which names the keys that each of them is for. They are
narrow on purpose: what passes can stand in a line or in a map of HAProxy as it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Final

from lbctl.model.service import PATH_SIGNS
from lbctl.settings.ha_rules import url_problem

#: RFC 2782: ``_service._proto.name``.
_SRV: Final = re.compile(r"_[A-Za-z0-9-]{1,63}\._[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,16}")
#: RFC 9110, 5.6.2: names of headers, and of cookies (RFC 6265, 4.1.1).
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH: Final = re.compile(rf"/(?:[A-Za-z0-9._~{re.escape(PATH_SIGNS)}-]|%[0-9A-Fa-f]{{2}})*")
_QUERY: Final = re.compile(rf"(?:[A-Za-z0-9._~?{re.escape(PATH_SIGNS)}-]|%[0-9A-Fa-f]{{2}})*")
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_GLOB: Final = re.compile(r"[A-Za-z0-9._*-]+")
_URL_SIGNS: Final = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&()*+,;=._~%-]+")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_HDR: Final = re.compile(r"hdr\((?P<name>[^()]+)\)")

#: How a server is chosen; beside them ``hdr(NAME)``.
BALANCES: Final = ("roundrobin", "leastconn", "random", "first", "source", "uri", "static-rr")


def token_problem(text: str) -> str | None:
    """The name of a cookie or of a header."""
    if _TOKEN.fullmatch(text):
        return None
    return "must be a name: letters, digits and !#$%&'*+-.^_`|~"


def path_problem(text: str) -> str | None:
    """A path as it stands in a request."""
    if not text.startswith("/"):
        return "must begin with /"
    if "?" in text or "#" in text:
        return "must be a path alone, without ? and #"
    if not _PATH.fullmatch(text):
        return "must stand there as in a request: other characters as %XX, as in /caf%C3%A9"
    if {".", ".."} & set(text.split("/")):
        return "must hold no . or .. between slashes: clients take them away"
    return None


def route_path_problem(text: str) -> str | None:
    """Empty: any path."""
    return path_problem(text) if text else None


def check_path_problem(text: str) -> str | None:
    """What a health check asks for: a query may follow."""
    path, _, query = text.partition("?")
    if "#" in text or not _QUERY.fullmatch(query):
        return "must stand there as in a request, without #"
    return path_problem(path)


def host_problem(text: str) -> str | None:
    """A name of a host, or an IPv4 address."""
    if not text.isascii():
        return f"must be written in ASCII{_punycode(text)}"
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return "must be the name of a host, as in app.example.com, without port"
    if labels[-1].isdecimal() and _ip(text) is None:
        return "is no IPv4 address"
    return None


def route_host_problem(text: str) -> str | None:
    """Empty: any host. ``*.`` stands for any name below."""
    return host_problem(text.removeprefix("*.")) if text else None


def host_port_problem(text: str) -> str | None:
    """The Host header of a health check; empty: the usual one."""
    host, colon, port = text.partition(":")
    if not text:
        return None
    if colon and not _is_port(port):
        return "must be a host, or host:port"
    return host_problem(host)


def address_problem(text: str) -> str | None:
    """Where a server is: ``10.0.0.1:80``, ``[fd00::1]:80``, ``db.example.com:5432``."""
    host, _, port = text.rpartition(":")
    rule = "must be host:port, as in 10.0.0.1:80, [fd00::1]:80 or db.example.com:5432"
    if not host or not _is_port(port):
        return rule
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    ip = _ip(bare)
    if ip is not None and (ip.version == 6) == (bare is host):
        return rule
    if ip is not None and (ip.is_unspecified or ip.is_multicast):
        return f"must be the address of a server, and {ip} is none"
    if ip is None and (what := host_problem(host)):
        return f"must be host:port, and {host!r} {what}" if what.startswith("is ") else rule
    return None


def dns_problem(text: str) -> str | None:
    """A name, and the port of whatever it leads to; or the name of SRV records, which tell it."""
    if text.startswith("_") and not text.rpartition(":")[2].isdecimal():
        rule = "must be as _http._tcp.web.example.com: SRV records have the ports"
        return None if _SRV.fullmatch(text) else rule
    if what := address_problem(text):
        return what.replace("10.0.0.1:80, [fd00::1]:80 or ", "")
    if _ip(text.rpartition(":")[0].strip("[]")) is not None:
        return "must be a name with a port; an address stands under servers"
    return None


def balance_problem(text: str) -> str | None:
    """One of HAProxy's words; it takes arguments for ``hdr`` alone."""
    found = _HDR.fullmatch(text)
    if text in BALANCES or (found and _TOKEN.fullmatch(found["name"])):
        return None
    return f"must be one of {', '.join(BALANCES)}, or hdr(NAME)"


def networks_problem(networks: Sequence[str]) -> str | None:
    """Addresses and networks of clients."""
    seen: dict[object, str] = {}
    for text in networks:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return f"{text!r} is neither an address nor a network, as in 10.0.0.0/8"
        if "%" in text:
            return f"{text!r} has a zone, which clients' addresses have not"
        if "/" in text and str(network.network_address) != str(_ip(text.partition("/")[0])):
            return f"{text} has bits beyond its prefix: is {network} meant?"
        if network in seen:
            return f"must name each once; twice: {text}"
        seen[network] = text
    return None


def hosts_problem(hosts: Sequence[str]) -> str | None:
    """Hosts as those of routes."""
    return _each(hosts, lambda text: route_host_problem(text) or _empty(text))


def globs_problem(globs: Sequence[str]) -> str | None:
    """Hosts with ``*`` anywhere, any case."""
    rule = "must be the name of a host, with * for any part of it"
    return _each(globs, lambda text: None if _GLOB.fullmatch(text) else rule)


def nameservers_problem(servers: Sequence[str]) -> str | None:
    """Addresses, with a port or without."""
    return _each(servers, lambda text: None if _ip(text) else _address_with_port(text))


def own_addresses_problem(hosts: Sequence[str]) -> str | None:
    """The own addresses of the two hosts, or none."""
    for text in hosts:
        ip = _ip(text)
        if ip is None or ip.is_unspecified or ip.is_multicast or ip.is_loopback:
            return f"{text!r} is no host's own IP address"
    if len(hosts) == 1:
        return "must name both hosts, or none"
    return None


def redirect_problem(text: str) -> str | None:
    """Where clients are sent."""
    if what := url_problem(text):
        return what
    if not _URL_SIGNS.fullmatch(text):
        return "must be written as in a request: other characters as %XX"
    return None


def file_problem(text: str) -> str | None:
    """Where the processes run is not the operator's business."""
    return None if text.startswith("/") else "must be an absolute path"


def _each(texts: Sequence[str], problem: Callable[[str], str | None]) -> str | None:
    for text in texts:
        if what := problem(text):
            return f"{text!r}: {what}"
    twice = sorted({text for text in texts if texts.count(text) > 1})
    return f"must name each once; twice: {', '.join(twice)}" if twice else None


def _empty(text: str) -> str | None:
    return None if text else "must not be empty"


def _address_with_port(text: str) -> str | None:
    if address_problem(text) or _ip(text.rpartition(":")[0].strip("[]")) is None:
        return "must be an IP address, or one with a port, as in 10.0.0.2:53"
    return None


def _is_port(text: str) -> bool:
    return bool(_PORT.fullmatch(text)) and int(text) <= 65535


def _punycode(text: str) -> str:
    try:
        return f": {text.encode('idna').decode('ascii')}"
    except UnicodeError:
        return ", as in xn--caf-dma.example"


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
