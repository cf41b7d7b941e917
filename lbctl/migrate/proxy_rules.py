"""Rules for frontends and backends: renamed and removed words, addresses on a section's line."""

from __future__ import annotations

import re
from typing import Final

from lbctl.migrate.document import Row
from lbctl.migrate.rule import (
    ANY_PROXY,
    BACK,
    FRONT,
    Lines,
    Outcome,
    Phase,
    Refused,
    Rule,
    Scene,
    refusal,
    removes,
    renames,
)
from lbctl.migrate.words import quoted

_NO_TIMEOUT = "its name since 1.3.15, and the only one since 2.1"


def _address(row: Row, scene: Scene) -> Outcome:
    texts = row.texts
    if len(texts) < 3 or texts[2] == "from":
        return None
    if len(texts) > 3:
        return Refused(
            f"HAProxy never read what is behind the address, {texts[3]!r}: remove it, or write "
            "address and options on a line of their own, 'bind ADDRESS OPTIONS'"
        )
    following = next((one.indent for one in scene.section.rows[1:] if one.words), "")
    section = row.with_words(2, len(texts), "")
    return Lines((section, f"{following or '    '}bind {quoted(texts[2])}"))


def _monitor(row: Row, scene: Scene) -> Outcome:
    if scene.section.keyword == "defaults" or scene.section.mode != "http" or len(row.words) < 2:
        return Refused(
            "no such thing since 2.3: write 'http-request return status 200 if { src NETWORK }' in "
            "each frontend in http mode, and for tcp use 'tcp-request connection reject'"
        )
    rest = row.with_words(
        0, 2, f"http-request return status 200 if {{ src {quoted(row.texts[1])} }}"
    )
    return Lines((rest,), phase=Phase.FIRST)


def _httpchk(row: Row, scene: Scene) -> Outcome:
    del scene
    texts = row.texts
    if len(texts) < 5 or "\r\n" not in texts[4]:
        return None
    version, _, rest = " ".join(texts[4:]).partition("\r\n")
    head, _, body = rest.partition("\r\n\r\n")
    words = []
    for number, line in enumerate(filter(None, head.split("\r\n")), start=1):
        name, colon, value = line.partition(":")
        if not colon or not re.fullmatch(r"[\w-]+", name):
            # It is not shown: it may be a part of a login.
            return Refused(
                f"line {number} behind the version is no header: write it as 'http-check send hdr "
                "NAME VALUE'"
            )
        if name.lower() != "content-length":
            words += ["hdr", name, quoted(value.strip().replace("%", "%%"))]
    if body.strip("\r\n"):
        words += ["body", quoted(body)]
    option = row.with_words(
        4, len(texts), quoted(version.strip()) if version.strip() else ""
    ).rstrip()
    send = f"{row.indent}http-check send {' '.join(words)}"
    return Lines((option, send) if words else (option,))


PROXY_RULES: Final = (
    Rule(
        "listen web :80, frontend web 10.0.0.1:80",
        "`listen web` and `bind :80`",
        "an address has a line of its own since 1.6",
        ("listen", "frontend"),
        FRONT,
        _address,
    ),
    Rule(
        "contimeout 5000",
        "`timeout connect 5000`",
        _NO_TIMEOUT,
        ("contimeout",),
        ANY_PROXY,
        renames(1, "timeout connect"),
    ),
    Rule(
        "clitimeout 50000",
        "`timeout client 50000`",
        _NO_TIMEOUT,
        ("clitimeout",),
        ANY_PROXY,
        renames(1, "timeout client"),
    ),
    Rule(
        "srvtimeout 50000",
        "`timeout server 50000`",
        _NO_TIMEOUT,
        ("srvtimeout",),
        ANY_PROXY,
        renames(1, "timeout server"),
    ),
    Rule(
        "timeout contimeout 5000",
        "`timeout connect 5000`",
        _NO_TIMEOUT,
        ("timeout contimeout",),
        ANY_PROXY,
        renames(2, "timeout connect"),
    ),
    Rule(
        "timeout clitimeout 50000",
        "`timeout client 50000`",
        _NO_TIMEOUT,
        ("timeout clitimeout",),
        ANY_PROXY,
        renames(2, "timeout client"),
    ),
    Rule(
        "timeout srvtimeout 50000",
        "`timeout server 50000`",
        _NO_TIMEOUT,
        ("timeout srvtimeout",),
        ANY_PROXY,
        renames(2, "timeout server"),
    ),
    Rule(
        "redispatch",
        "`option redispatch`",
        "an option since 1.3.15, and only that since 2.1",
        ("redispatch",),
        BACK,
        renames(1, "option redispatch"),
    ),
    Rule(
        "option forceclose",
        "`option httpclose`",
        "the same since 2.0; a fatal error now",
        ("option forceclose",),
        ANY_PROXY,
        renames(2, "option httpclose"),
    ),
    Rule(
        "option http-tunnel",
        "removed",
        "removed in 2.1: connections are kept alive, and each request on them is seen",
        ("option http-tunnel",),
        ANY_PROXY,
        removes,
    ),
    Rule(
        "option http-use-htx",
        "removed",
        "the only way since 2.1",
        ("option http-use-htx",),
        ANY_PROXY,
        removes,
    ),
    Rule(
        "option independant-streams",
        "`option independent-streams`",
        "spelt so since 1.5, and only so since 2.1",
        ("option independant-streams",),
        ANY_PROXY,
        renames(2, "option independent-streams"),
    ),
    Rule(
        r"option httpchk GET / HTTP/1.1\r\nHost:\ a",
        "`option httpchk GET / HTTP/1.1` and `http-check send hdr Host a`",
        "headers in the version are a warning since 2.2 and a fatal error since 2.7",
        ("option httpchk",),
        ANY_PROXY,
        _httpchk,
    ),
    Rule(
        "monitor-net 10.0.0.0/8",
        "`http-request return status 200 if { src 10.0.0.0/8 }`, in a frontend in http mode",
        "removed in 2.3",
        ("monitor-net",),
        FRONT,
        _monitor,
    ),
    Rule(
        "grace 5s",
        "removed",
        "removed from frontends in 2.5: a reload hands the sockets over, and nothing has to wait",
        ("grace",),
        ANY_PROXY,
        removes,
    ),
    Rule(
        "hash-type avalanche",
        "`hash-type map-based sdbm avalanche`",
        "the same in today's words (1.5); servers are chosen as before",
        ("hash-type avalanche",),
        BACK,
        renames(2, "hash-type map-based sdbm avalanche"),
    ),
    refusal(
        "mode health",
        ("mode health",),
        ANY_PROXY,
        "no such mode since 2.3: write 'mode http' and 'http-request return status 200', and "
        "remove what else is in the section",
    ),
    refusal(
        "appsession JSESSIONID len 52 timeout 3h",
        ("appsession",),
        BACK,
        "removed in 1.6; its table was one process's own: 'cookie JSESSIONID prefix nocache', "
        "and 'cookie NAME' on each server, remembers the server without any table",
    ),
    refusal(
        "option http_proxy",
        ("option http_proxy",),
        ANY_PROXY,
        "removed in 2.5: a forward proxy is 'http-request do-resolve', 'set-dst' and "
        "'set-uri', or another program",
    ),
    refusal(
        "option lb-agent-chk",
        ("option lb-agent-chk",),
        BACK,
        "write 'agent-check agent-port PORT' on each server, and remove this line",
    ),
)
