"""
Names that HAProxy can carry, for services and servers that are named as people like.

Pure. HAProxy's alphabet is ``A-Za-z0-9-_.:``; a name in it is kept, with ``:`` for a service's
``/``. All others get a readable rest of themselves and a hash, and no kept name has that form, so
that two names meet only where SHA-256 does.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from typing import Final

_SLUG_MAX: Final = 40
_ID_MAX: Final = 2**31 - 1

#: Not lbctl's own, not the backend of nginx's page nor what HAProxy's statistics call the whole of
#: a proxy, and not what a hashed name ends in. One look: large configurations have thousands.
_KEPT: Final = (
    r"(?!(?i:lbctl|(?:nginx|frontend|backend)\Z))"
    r"[A-Za-z0-9_][A-Za-z0-9_.{more}-]{{0,59}}(?<!\.[0-9a-f]{{10}})"
)
_SERVICE = re.compile(_KEPT.format(more="/"))
_SERVER = re.compile(_KEPT.format(more=":"))
_ODD = re.compile(r"[^A-Za-z0-9_]+")


def backend_name(service: str) -> str:
    """The backend of *service*: ``hello/v1`` is ``hello:v1``."""
    return service.replace("/", ":") if _SERVICE.fullmatch(service) else _hashed(service)


def service_of(backend: str) -> str:
    """
    The service as people know it: ``hello:v1`` is ``hello/v1``.

    Of a hashed name only the backend's is known.
    """
    return backend.replace(":", "/")


def server_name(key: str) -> str:
    """The server that is known by *key* (its id, else its address) in its service."""
    return key if _SERVER.fullmatch(key) else _hashed(key)


def server_ids(keys: Iterable[str]) -> dict[str, int]:
    """
    For each key a number from 1 to 2^31-1 that is its own wherever the key is seen.

    Two keys that hash alike are settled in the order of their names, whatever order they come in.
    """
    wanted = {key: zlib.crc32(_bytes(key)) % _ID_MAX + 1 for key in keys}
    taken = set(wanted.values())
    if len(taken) == len(wanted):
        return wanted
    taken.clear()
    for key in sorted(wanted):
        number = wanted[key]
        while number in taken:
            number = number % _ID_MAX + 1
        taken.add(number)
        wanted[key] = number
    return wanted


def _hashed(text: str) -> str:
    # A name that came in JSON may hold half a surrogate pair, and one that is megabytes long too.
    slug = _ODD.sub("-", text[:_SLUG_MAX]).strip("-_") or "x"
    return f"{slug}.{hashlib.sha256(_bytes(text)).hexdigest()[:10]}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
