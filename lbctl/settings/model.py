"""
lb.yaml as frozen values: every key, its type, its bounds and its default.

Only the standard library and annotated_types are imported here: the bounds are read by
:mod:`lbctl.settings.load`, the values by everyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MinLen

Auto = Literal["auto"]
Port = Annotated[int, Ge(1), Le(65535)]

_FORBID = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """
    How often the network is told where the addresses are, beside at once.

    Attributes:
        again_s: from the first announcement to the second, seconds.
        refresh_s: the pauses double from then on, up to this, seconds.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    again_s: Annotated[float, Ge(0.1), Le(60)] = 1.0
    refresh_s: Annotated[float, Ge(1), Le(3600)] = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    What the addresses depend on beside the programs: one of the five looks, and how often.

    Attributes:
        name: unique; its fault is told by it.
        http: a URL that must answer with an expected status.
        headers: of that request.
        expect: the statuses that are well: ``200-399``, ``204``.
        tcp: ``host:port`` that must accept a connection.
        command: a program by its absolute path, and its arguments; it must end with 0.
        link: a network interface that must be up with a carrier.
        program: a supervised program that must run.
        interval_s: from the start of one look to the next, seconds.
        timeout_s: a look that takes longer has failed, seconds.
        rise: looks in a row that must succeed until it is well again; None: as many as is usual.
        fall: looks in a row that must fail until it is a fault; None: the same.
        severity: how bad its fault is, beside others.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    name: Annotated[str, MinLen(1)]
    http: Annotated[str, MinLen(1)] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    expect: Annotated[str, MinLen(1)] = "200-399"
    tcp: Annotated[str, MinLen(1)] = ""
    command: tuple[str, ...] = ()
    link: Annotated[str, MinLen(1)] = ""
    program: Annotated[str, MinLen(1)] = ""
    interval_s: Annotated[float, Ge(0.1), Le(60)] = 2.0
    timeout_s: Annotated[float, Ge(0.05), Le(30)] = 1.0
    rise: Annotated[int, Ge(1), Le(100)] | None = None
    fall: Annotated[int, Ge(1), Le(100)] | None = None
    severity: Annotated[int, Ge(1), Le(15)] = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """
    Further virtual addresses that move together, apart from those of the command line.

    Attributes:
        addresses: the first one IPv4; each with a prefix or without.
        vhid: as ``ha.vhid``, unlike any other group's.
        advskew: as ``ha.advskew``.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    addresses: Annotated[tuple[str, ...], MinLen(1)]
    vhid: Annotated[int, Ge(1), Le(255)] | Auto = "auto"
    advskew: Annotated[int, Ge(0), Le(199)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ha:
    """
    Election of the node that holds the virtual addresses.

    Attributes:
        interface: the network interface; ``auto``: the one whose subnet holds the first VIP.
        vhid: virtual host id; ``auto``: derived from the VIP.
        engine: who speaks CARP: the program ucarp, or vipd itself.
        advbase_s: seconds between advertisements; with ``native`` what a ucarp peer is told.
        advbase_ms: ``native``: milliseconds between advertisements.
        advskew: added to the interval, in 1/256 s; the lower one wins, equal ones do not fail back.
        dead_ratio: missed intervals until the master counts as dead.
        failback_s: ``native``: a node that would win waits so long for a healthy master.
        drain_s: longest wait for clients when leaving on purpose, seconds.
        peers: ``native``: the other nodes' IPv4 addresses; empty: multicast.
        announce: see there.
        greeting_port: UDP port on which the nodes greet each other; 0: they do not.
        track: give the VIP away when one of these is down.
        groups: ``native``: further groups of addresses.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    interface: Annotated[str, MinLen(1)] = "auto"
    vhid: Annotated[int, Ge(1), Le(255)] | Auto = "auto"
    engine: Literal["ucarp", "native"] = "ucarp"
    advbase_s: Annotated[int, Ge(1), Le(60)] = 1
    advbase_ms: Annotated[int, Ge(20), Le(2550)] = 100
    advskew: Annotated[int, Ge(0), Le(199)] = 0
    dead_ratio: Annotated[int, Ge(1), Le(100)] = 3
    failback_s: Annotated[float, Ge(0), Le(3600)] = 0.0
    drain_s: Annotated[float, Ge(0), Le(4)] = 2.0
    peers: tuple[str, ...] = ()
    announce: Announce = field(default_factory=Announce)
    greeting_port: Annotated[int, Ge(0), Le(65535)] = 8112
    track: tuple[Literal["haproxy", "nginx"] | Check, ...] = ("haproxy", "nginx")
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """HAProxy's timeouts, with its units: ``5s``, ``500ms``, ``1h``; without one: milliseconds."""

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    connect: str = "5s"
    client: str = "50s"
    server: str = "50s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """
    The stats listeners, one for each process.

    Attributes:
        bind: an address; any other than loopback needs user and password.
        port_base: port of the first process; the second has the next one, and so on.
        user: name for HTTP basic authentication.
        password_file: file with the password; None: no authentication, loopback only.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    bind: str = "127.0.0.1"
    port_base: Port = 8001
    user: Annotated[str, MinLen(1)] = "admin"
    password_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """Defaults of generated backends."""

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    balance: Literal["roundrobin", "leastconn", "random", "source", "uri", "static-rr"] = (
        "roundrobin"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Haproxy:
    """
    HAProxy's processes.

    Attributes:
        processes: how many; ``auto``: the CPUs this container may use, by affinity and quota.
        threads: of each process (HAProxy 2.5 and later).
        maxconn: of each process, in a generated configuration.
        hard_stop_after: how long a reload lets old connections live, HAProxy's units.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    processes: Annotated[int, Ge(1), Le(64)] | Auto = "auto"
    threads: Annotated[int, Ge(1), Le(64)] = 1
    maxconn: Annotated[int, Ge(1), Le(10_000_000)] = 4096
    hard_stop_after: str = "30m"
    timeouts: Timeouts = field(default_factory=Timeouts)
    stats: Stats = field(default_factory=Stats)
    defaults: Defaults = field(default_factory=Defaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """
    The frontend of a generated configuration.

    Attributes:
        bind: ``:80``, ``*:80``, ``192.0.2.1:8080``, ``[::]:80``.
        tls_bind: where HAProxy terminates TLS, in effect only when ``certs/`` holds a ``*.pem``.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    bind: str = ":80"
    tls_bind: str = ":443"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    All of lb.yaml.

    Attributes:
        user: the unprivileged user of haproxy, nginx and the agent; ``auto``: ``lbctl`` if there is
            one, else ``haproxy``.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = _FORBID

    user: Annotated[str, MinLen(1)] = "auto"
    ha: Ha = field(default_factory=Ha)
    haproxy: Haproxy = field(default_factory=Haproxy)
    http: Http = field(default_factory=Http)
