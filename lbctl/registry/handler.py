"""
The registry as a function: a payload in, the haproxy.cfg that matches it out.

:func:`handler` is for AWS Lambda: called with the payload itself it answers the text, behind API
Gateway or a function URL (payload formats 1.0 and 2.0) with status, headers and body. Settings come
from the environment, as all of lbctl's: ``LBCTL_REGISTRY_STORE`` and its neighbours.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lbctl.errors import EXIT_USAGE, ConfigError, LbctlError, Problem
from lbctl.files import read_bounded
from lbctl.layout import ConfigDir, StateDir
from lbctl.registry.answer import OK, refused
from lbctl.registry.judge import Judge
from lbctl.registry.keep import keep
from lbctl.registry.open import cells_of
from lbctl.registry.payload import read_payload
from lbctl.registry.reading import WHOLE, PayloadError
from lbctl.registry.standalone import standalone
from lbctl.registry.store import CellStore, Store
from lbctl.settings.load import load
from lbctl.settings.model import Settings

_STORE: Final = "LBCTL_REGISTRY_STORE"
#: Where a function's code is unpacked: an lb.yaml may lie beside it.
_CODE: Final = "LAMBDA_TASK_ROOT"
_NOWHERE: Final = Path("/nonexistent")
_SECRETS: Final = ("token_file", "ca_file", "cert_file", "key_file")
_SECRET_MAX_BYTES: Final = 1 << 20

_POST_ONLY: Final = 405
_TEXT: Final = "text/plain; charset=utf-8"

Event = Mapping[str, Any]


def handler(event: Event, context: object = None) -> str | dict[str, Any]:
    """
    What AWS Lambda calls.

    Args:
        event: the payload itself, or a request of API Gateway or of a function URL.
        context: Lambda's; not looked at.

    Returns:
        The text of haproxy.cfg; to a request: ``statusCode``, ``headers`` and ``body``.

    Raises:
        LbctlError: to a call with the payload itself: Lambda tells the caller.
    """
    del context
    # What invokes it may send any JSON; all but a request is a payload, if only a wrong one.
    if isinstance(event, dict) and ("requestContext" in event or "httpMethod" in event):
        return _answer(event)
    return configuration(event)


def configuration(
    payload: Event, store: Store | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """
    Take *payload* in, and answer the haproxy.cfg of its table.

    Args:
        payload: as ``POST /v1/registry`` takes it.
        store: left open; None: the one that *environ* names.
        environ: settings, ``LBCTL_...``.

    Raises:
        PayloadError: it is wrong; nothing was changed.
        ConfigError: the settings are wrong.
        ProviderError: the store could not be asked.
    """
    return asyncio.run(_configuration(json.dumps(payload).encode(), store, environ))


async def _configuration(raw: bytes, store: Store | None, environ: Mapping[str, str]) -> str:
    payload = read_payload(raw)
    settings = _settings(environ, is_stored=store is not None)
    used = store or CellStore(cells_of(settings, _secrets(settings), StateDir(_NOWHERE)))
    try:
        table = (await keep(used, payload)).table
    finally:
        if store is None:
            await used.close()
    services, problems = Judge(settings.registry.check).services(table.values())
    return standalone(services, settings, problems)


def _settings(environ: Mapping[str, str], *, is_stored: bool) -> Settings:
    """DynamoDB is the store where nothing else is said."""
    named = {_STORE: "dynamodb", **{name: text for name, text in environ.items() if text}}
    settings = load(ConfigDir(Path(named.get(_CODE, _NOWHERE))), environ=named)
    if settings.registry.store == "sqlite" and not is_stored:
        what = "sqlite: a function has no disk that lasts: dynamodb or consul"
        raise ConfigError([Problem(_STORE, what)])
    return settings


def _secrets(settings: Settings) -> dict[str, bytes]:
    """Contents of the files that Consul's settings name, by dotted key."""
    found = {}
    for name in _SECRETS:
        path = getattr(settings.discovery.consul, name)
        if path is None:
            continue
        try:
            found[f"discovery.consul.{name}"] = read_bounded(Path(path), _SECRET_MAX_BYTES)
        except OSError as error:
            problem = Problem(f"discovery.consul.{name}", f"{path}: {error.strerror}")
            raise ConfigError([problem]) from error
    return found


def _answer(event: Event) -> dict[str, Any]:
    """To a request, in the form that API Gateway wants; format 1.0 or 2.0."""
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    method = event.get("httpMethod") or (http.get("method") if isinstance(http, dict) else None)
    if method != "POST":
        return _said(_POST_ONLY, {"error": f"{method}: POST alone", "code": EXIT_USAGE})
    try:
        text = asyncio.run(_configuration(_raw(event), None, os.environ))
    except LbctlError as error:
        found = refused(error)
        return _said(found.status, found.plain)
    return {"statusCode": OK, "headers": {"Content-Type": _TEXT}, "body": text}


def _raw(event: Event) -> bytes:
    # A lone surrogate is refused with what is no UTF-8.
    body = str(event.get("body") or "").encode(errors="surrogatepass")
    if not event.get("isBase64Encoded"):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise PayloadError([Problem(WHOLE, f"is not base64: {error}")]) from error


def _said(status: int, plain: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(plain)}
