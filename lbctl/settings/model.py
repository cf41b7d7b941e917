"""
lb.yaml as frozen values: every key, its type, its bounds and its default.

Only the standard library and annotated_types are imported here: the bounds are read by
:mod:`lbctl.settings.load`, the values by everyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from lbctl.model.service import Service
from lbctl.settings.discovery import Api, Discovery, Registry, Syslog

Auto = Literal["auto"]
Port = Annotated[int, Ge(1), Le(65535)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """
    How often the network is told where the addresses are, beside at once.

    Attributes:
        again_s: from the first announcement to the second, seconds.
        refresh_s: the pauses double from then on, up to this, seconds.
    """

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
    """
    HAProxy's timeouts, with its units: ``5s``, ``500ms``, ``1h``; without one: milliseconds.

    Attributes:
        connect: until a server accepts.
        client: a client's longest silence.
        server: a server's longest silence.
        http_request: until a client has sent all headers.
        http_keep_alive: until the next request of a connection.
        queue: for a free place at a server; None: as *connect*.
        tunnel: longest silence of a connection that was upgraded: WebSocket.
        check: of a health check that is connected; None: HAProxy's own rule.
    """

    connect: str = "5s"
    client: str = "50s"
    server: str = "50s"
    http_request: str = "10s"
    http_keep_alive: str = "10s"
    queue: str | None = None
    tunnel: str = "1h"
    check: str | None = None


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

    bind: str = "127.0.0.1"
    port_base: Port = 8001
    user: Annotated[str, MinLen(1)] = "admin"
    password_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """
    Defaults of generated backends.

    Attributes:
        balance: how a server is chosen.
        check_interval_s: from one health check of a server to the next, seconds.
        check_rise: checks in a row that must succeed.
        check_fall: checks in a row that must fail.
    """

    balance: Literal["roundrobin", "leastconn", "random", "first", "source", "uri", "static-rr"] = (
        "roundrobin"
    )
    check_interval_s: Annotated[float, Ge(0.05), Le(86400)] = 2.0
    check_rise: Annotated[int, Ge(1), Le(100)] = 2
    check_fall: Annotated[int, Ge(1), Le(100)] = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """
    Stick tables that follow a client from process to process.

    Attributes:
        port_base: of the first process; the second has the next one, and so on.
        hosts: own addresses of both hosts, the same list on both; empty: within this host.
    """

    port_base: Port = 10001
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Haproxy:
    """
    HAProxy's processes.

    Attributes:
        processes: how many; ``auto``: the CPUs this container may use, by affinity and quota.
        threads: of each process (HAProxy 2.5 and later).
        maxconn: of each process, in a generated configuration.
        hard_stop_after: how long a reload lets old connections live, HAProxy's units.
        retries: of a connection that a server does not accept.
        timeouts: see there.
        stats: see there.
        defaults: see there.
        peers: see there.
    """

    processes: Annotated[int, Ge(1), Le(64)] | Auto = "auto"
    threads: Annotated[int, Ge(1), Le(64)] = 1
    maxconn: Annotated[int, Ge(1), Le(10_000_000)] = 4096
    hard_stop_after: str = "30m"
    retries: Annotated[int, Ge(0), Le(100)] = 3
    timeouts: Timeouts = field(default_factory=Timeouts)
    stats: Stats = field(default_factory=Stats)
    defaults: Defaults = field(default_factory=Defaults)
    peers: Peers = field(default_factory=Peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """
    The frontend of a generated configuration.

    Attributes:
        bind: ``:80``, ``*:80``, ``192.0.2.1:8080``, ``[::]:80``.
        tls_bind: where HAProxy terminates TLS, in effect only when ``certs/`` holds a ``*.pem``.
        accept_proxy: clients speak the PROXY protocol.
        https_redirect: send HTTP to HTTPS.
        internal_hosts: hosts that are not; ``*.internal``, ``HAProxy*``.
        hsts_max_age_s: browsers are told to use HTTPS for so long, seconds; None: they are not.
        foreign_redirect: where requests for hosts go that nobody serves; None: nowhere.
        known_hosts: hosts that are not foreign, beside those of routes; ``*.example.com``.
        health_path: HAProxy answers it itself, with 200; None: it does not.
    """

    bind: str = ":80"
    tls_bind: str = ":443"
    accept_proxy: bool = False
    https_redirect: bool = False
    internal_hosts: tuple[str, ...] = ()
    hsts_max_age_s: Annotated[int, Ge(0), Le(1_000_000_000)] | None = None
    foreign_redirect: str | None = None
    known_hosts: tuple[str, ...] = ()
    health_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """
    When a change of services is made.

    Attributes:
        gather_ms: after a first change, those that follow are gathered so long, milliseconds.
        gather_max_ms: and at most so long when they do not end, milliseconds.
        reload_every_s: at most one reload in so many seconds.
        hold_s: a change that takes more than half of a service's servers, or every service, waits
            so long, seconds; 0: it does not.
        old_workers: of all programs together; with more of them a reload waits.
    """

    gather_ms: Annotated[int, Ge(0), Le(10_000)] = 50
    gather_max_ms: Annotated[int, Ge(0), Le(60_000)] = 500
    reload_every_s: Annotated[float, Ge(0.1), Le(3600)] = 1.0
    hold_s: Annotated[float, Ge(0), Le(86400)] = 30.0
    old_workers: Annotated[int, Ge(1), Le(1000)] = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """
    What the bundle says on its output.

    Attributes:
        format: ``text``: a program's name and its line; ``json``: an object a line.
    """

    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    All of lb.yaml.

    Attributes:
        user: the unprivileged user of haproxy, nginx and the agent; ``auto``: ``lbctl`` if there is
            one, else ``haproxy``.
        discovery: see :mod:`lbctl.settings.discovery`.
        registry: see there.
        api: see there.
        syslog: see there.
        log: see there.
        services: what is balanced, by :mod:`lbctl.settings.services`.
    """

    user: Annotated[str, MinLen(1)] = "auto"
    ha: Ha = field(default_factory=Ha)
    haproxy: Haproxy = field(default_factory=Haproxy)
    http: Http = field(default_factory=Http)
    apply: Apply = field(default_factory=Apply)
    discovery: Discovery = field(default_factory=Discovery)
    registry: Registry = field(default_factory=Registry)
    api: Api = field(default_factory=Api)
    syslog: Syslog = field(default_factory=Syslog)
    log: Log = field(default_factory=Log)
    services: tuple[Service, ...] = ()
