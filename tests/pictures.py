"""The live picture of a node, as the page gets it: two hosts, three services, a day of changes."""

from __future__ import annotations

from typing import Any

from lbctl.follow.outlines import Outline

AT = 1_800_000_000.0
VIP = "10.0.1.201/32"


def group(role: str = "MASTER", **more: Any) -> dict[str, Any]:
    """One host's part of it."""
    return {
        "vhid": 178,
        "role": role,
        "since": AT - 3600,
        "why": "no other master heard",
        "faults": [],
        "can_serve": True,
        "source": "10.0.1.11",
        "engine": "native",
        "addresses": [{"address": VIP, "present": role == "MASTER", "lease_s": 3.0}],
        **more,
    }


def peer(role: str = "BACKUP", **more: Any) -> dict[str, Any]:
    """The other host, as it greets."""
    return {
        "hostname": "b",
        "address": "10.0.1.12",
        "version": "0.2.0",
        "engine": "native",
        "groups": [group(role, why="this node listens")],
        "digests": {"lb.yaml": "1"},
        "seen_s_ago": 0.4,
        "is_fresh": True,
        **more,
    }


def ha(*peers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What vipd says of this host, *more* of its group, and of *peers*."""
    own = group(**more)
    return {**own, "groups": [own], "peers": list(peers), "findings": [], "paused": None}


def program(name: str, state: str = "RUNNING") -> dict[str, Any]:
    return {"name": name, "state": state, "pid": 7, "uptime_s": 60.0, "restarts": 0}


def status(**more: Any) -> dict[str, Any]:
    """Of the host a."""
    process = {"number": 1, "program": "haproxy-01", "cpu": 0, "stats": "127.0.0.1:8001"}
    source = {"source": "consul", "target": "http://10.0.0.5:8500", "state": "live", "error": ""}
    return {
        "version": "0.2.0",
        "node": "a1",
        "hostname": "a",
        "started_at": AT - 7200,
        "ha": ha(peer()),
        "ha_error": None,
        "checks": [],
        "warnings": [],
        "programs": [program("haproxy-01"), program("nginx")],
        "haproxy": {
            "version": "2.6.12",
            "processes": [{**process, "answers": True, "last_answer_s_ago": 0.1}],
        },
        "discovery": [{**source, "services": 2, "servers": 4, "heard_at": AT - 5}],
        "apply": {"processes": [], "workers": [{"program": "haproxy-01", "reloads": 2, "old": 1}]},
        "digests": {"lb.yaml": "1"},
        **more,
    }


def backend(up: int | None, total: int | None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "backend",
        "status": "UP" if up else "DOWN",
        "sessions": 1,
        "limit": None,
        "rate": 1.0,
        "requests_per_s": 1200.0,
        "bytes_in_per_s": 0,
        "bytes_out_per_s": None,
        "5xx_per_s": 0.0,
        "queue": 0,
        "servers_up": up,
        "servers": total,
        **more,
    }


def frontend(word: str = "OPEN") -> dict[str, Any]:
    return {**backend(None, None), "kind": "frontend", "status": word}


def picture(**more: Any) -> dict[str, Any]:
    """All of it; *more*: of its status."""
    numbers = [float(one) for one in range(60)]
    history = ("sessions", "session_rate", "requests_per_s")
    span = {"at": AT - 1200, "reloads": 1, "runtime": 12, "failed": 0, "reasons": ["shop: new"]}
    return {
        "at": AT,
        "every_s": 2.0,
        "cost_ms": 1.0,
        "status": status(**more),
        "traffic": {"requests_per_s": 12.0, "session_rate": 9.0, "sessions": 3}
        | {"bytes_in_per_s": 100, "bytes_out_per_s": 2000, "errors_5xx_per_s": None},
        "proxies": {
            "http": frontend(),
            "hello:v1": backend(2, 2),
            "shop": backend(1, 3),
            "pay": backend(0, 2),
            "nginx": backend(1, 1),
        },
        "history": {"at": numbers, **dict.fromkeys(history, numbers)},
        "ledger": [span],
        "silent": {},
    }


def outlines() -> list[Outline]:
    return [
        Outline("hello/v1", "hello:v1", ("lb.yaml",), ("/hello/v1",)),
        Outline("shop", "shop", ("consul",), ("shop.example.com",)),
        Outline("pay", "pay", ("docker",), ("/pay",)),
    ]


def events() -> list[dict[str, Any]]:
    texts = {"role": "BACKUP -> MASTER: no other master heard", "fault": "nginx is BACKOFF"}
    return [
        {"id": number, "at": AT - 60, "kind": kind, "text": text, "fields": {}}
        for number, (kind, text) in enumerate(texts.items())
    ]
