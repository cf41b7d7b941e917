"""The service that a name alone makes, where its source says no more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from lbctl.discovery.labels import Words
from lbctl.model.service import PATH_SIGNS
from lbctl.settings.discovery import SourceCheck

#: Of a check: these go with HTTP alone.
_ABOUT_HTTP: Final = ("path", "host", "method", "expect")
#: Of a route: one of these says which requests are meant.
_ASKS: Final = ("path", "host", "header", "port")


def discovered(
    name: str,
    mode: str,
    check: SourceCheck,
    words: Words,
    servers: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """
    An item of lb.yaml's ``services``, still to be judged by ``read_services``.

    A service in http mode gets ``/NAME``, which its servers do not see, unless its words say which
    requests are its own. One in tcp mode gets no port: its words, or lb.yaml, must say one.

    Args:
        name: ``hello/v1``.
        mode: what the source takes it for; its words count more.
        check: of the source; the words of the service count more, key by key.
        words: of :func:`lbctl.discovery.labels.read_words`; its ``server`` is the caller's.
        servers: items of ``servers``.
    """
    plain: dict[str, Any] = {"mode": mode, **words.service, "name": name}
    if plain["mode"] == "http":
        _route(plain, name)
    if isinstance(said := plain.get("check", {}), dict):
        plain["check"] = _check(said, check, is_tcp=plain["mode"] == "tcp", host=_host(plain))
    plain["servers"] = [dict(one) for one in servers]
    return plain


def _route(plain: dict[str, Any], name: str) -> None:
    route = plain.get("route", {})
    if not isinstance(route, dict) or "routes" in plain or any(one in route for one in _ASKS):
        return
    path = "/" + quote(name.lstrip("/"), safe=PATH_SIGNS, errors="replace")
    plain["route"] = {"path": path, "strip": True, **route}


def _check(
    said: Mapping[str, Any], source: SourceCheck, *, is_tcp: bool, host: bool
) -> dict[str, Any]:
    """The words over the source's, without what does not go together."""
    kind = said.get("kind") or ("http" if any(one in said for one in _ABOUT_HTTP) else source.kind)
    if not said.get("kind"):
        if kind == "http" and is_tcp and not said:
            kind = "tcp"
        if kind == "none" and said:
            kind = "tcp"
    if kind != "http":
        return {**said, "kind": kind}
    about = {"path": source.path, "method": source.method}
    if not host:
        about["host"] = source.host
    return {**about, **said, "kind": kind}


def _host(plain: Mapping[str, Any]) -> bool:
    """Whether a route has a host, which is the check's then."""
    route, more = plain.get("route"), plain.get("routes")
    routes = [route, *more] if isinstance(more, list) else [route]
    hosts = [str(one.get("host", "")) for one in routes if isinstance(one, dict)]
    return any(host and not host.startswith("*") for host in hosts)
