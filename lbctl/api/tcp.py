"""
The same API on TCP, with TLS where lb.yaml names a certificate.

Who may ask there is :mod:`access`'s to say, and how many :mod:`visitors`'. Without TLS a token is
sent as it is: beyond this host that belongs on a network of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import Final

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.api.access_tokens import WRITE_KEY
from lbctl.api.visitors import GatedSite, Terms
from lbctl.discovery.url import load_pair
from lbctl.follow.generation import Generation

log = logging.getLogger(__name__)

TOKEN_KEY: Final = WRITE_KEY
CERT_KEY: Final = "api.tls.cert_file"
KEY_KEY: Final = "api.tls.key_file"
_BIND_KEY: Final = "api.bind"
#: Until a port that is taken is tried again, seconds.
_AGAIN_S: Final = 5.0


class Tls:
    """
    The certificate in force: that of the newest generation, as far as it can be used.

    What went wrong with a newer one is said, and the one before goes on being shown.
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._seen: tuple[bytes, bytes | None] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self, generation: Generation) -> ssl.SSLContext | None:
        """
        None: without TLS.

        Raises:
            LookupError: TLS is wanted, and there is no certificate.
        """
        if generation.settings.api.tls.cert_file is None:
            self._seen = self._context = None
            self._agent.trouble.pop(CERT_KEY, None)
            return None
        pair = generation.secrets.get(CERT_KEY, b""), generation.secrets.get(KEY_KEY)
        if pair != self._seen:
            self._take(*pair)
            self._seen = pair
        if self._context is None:
            raise LookupError(CERT_KEY)
        return self._context

    def _take(self, certificate: bytes, key: bytes | None) -> None:
        is_first = self._context is None
        try:
            self._context = context_of(certificate, key)
        except (OSError, ValueError) as error:
            kept = "nobody is let in over TCP" if is_first else "the one before is shown"
            what = f"{CERT_KEY}: cannot be used: {error}; {kept}"
            self._agent.trouble[CERT_KEY] = what
            self._agent.note("api", what, {})
            return
        self._agent.trouble.pop(CERT_KEY, None)
        if not is_first:
            self._agent.note("api", f"{CERT_KEY}: the new certificate is shown from now on", {})


def context_of(certificate: bytes, key: bytes | None) -> ssl.SSLContext:
    """
    TLS 1.2 and newer, for this certificate and its key, both as PEM.

    Raises:
        OSError, ValueError: they cannot be used, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_pair(context, certificate, key)
    return context


async def serve_tcp(runner: web.AppRunner, agent: Agent) -> None:
    """
    Listen on ``api.bind`` as soon as the agent knows it; without it, return.

    A port that is taken is said, and tried again: the Unix socket answers all the same.
    """
    bind = (await agent.sources.configured()).settings.api.bind
    if bind is None:
        return
    host, _, port = bind.rpartition(":")
    address = host.removeprefix("[").removesuffix("]")
    tls = Tls(agent)

    def terms() -> Terms:
        generation = agent.sources.generation
        assert generation is not None
        return Terms(tls.context(generation), generation.settings.api.rate_per_s)

    while True:
        site = GatedSite(runner, None if address in ("", "*") else address, int(port), terms)
        try:
            await site.start()
        except OSError as error:
            why = f"api.bind: {bind}: {os.strerror(error.errno) if error.errno else error}"
            what = f"{why}; the API is on its Unix socket alone, and this is tried again"
            if agent.trouble.get(_BIND_KEY) != what:
                agent.note("api", what, {"bind": bind})
            agent.trouble[_BIND_KEY] = what
            await asyncio.sleep(_AGAIN_S)
            continue
        if agent.trouble.pop(_BIND_KEY, None):
            agent.note("api", f"the API listens on {bind} as well", {"bind": bind})
        log.info("the API listens on %s", bind)
        return
