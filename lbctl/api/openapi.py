"""
``GET /v1/openapi.json``: what can be asked, and what is answered, for programs that ask.

Says no more than what stays: the shapes that an answer always has, and the keys of every body.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from lbctl.api.served import AGENT
from lbctl.registry.openapi import COMPONENTS as REGISTRY_COMPONENTS
from lbctl.registry.openapi import PATHS as REGISTRY_PATHS

_Plain = dict[str, Any]

_ERROR: Final[_Plain] = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {
        "error": {"type": "string", "description": "A sentence."},
        "code": {"type": "integer", "description": "The exit code of the command that ends so."},
    },
}
_OBJECT: Final[_Plain] = {"type": "object"}
_TEXT: Final[_Plain] = {"type": "string"}
_SSE: Final = "text/event-stream"
_FLAG: Final[_Plain] = {"type": "boolean", "default": False}


def _answer(what: str, schema: _Plain, kind: str = "application/json") -> _Plain:
    return {"description": what, "content": {kind: {"schema": schema}}}


def _refusals(*codes: int) -> _Plain:
    said = {
        400: "It asks for what cannot be.",
        404: "There is none of that name.",
        401: "Over TCP: no token, or not this one.",
        403: "The token is to look only, or the page of another site sent it.",
        409: "It was not done, and everything stays as it is.",
        413: "The body is too long.",
        421: "Over the Unix socket: sent to a name that is not this host's.",
        429: "Over TCP: too many requests, or too many wrong tokens; `Retry-After` says when.",
        500: "Something unexpected.",
        501: "This HAProxy has no exporter of its own.",
        503: "A program that should answer does not; too many streams are open.",
    }
    schema = {"$ref": "#/components/schemas/Error"}
    return {str(code): _answer(said[code], schema) for code in (401, 421, 429, *codes)}


def _get(summary: str, ok: _Plain, *codes: int, **more: Any) -> _Plain:
    responses = {"200": ok, **_refusals(*codes, 500)}
    return {"get": {"summary": summary, "responses": responses, **more}}


def _post(summary: str, body: _Plain | None, *codes: int) -> _Plain:
    what: _Plain = {
        "summary": summary,
        "responses": {"200": _answer("Done.", _OBJECT), **_refusals(400, 403, *codes, 500, 503)},
    }
    if body is not None:
        schema = {"type": "object", "additionalProperties": False, "properties": body}
        what["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return {"post": what}


def _free(summary: str, *more: int) -> _Plain:
    """Of those that need no token."""
    words = {200: "It is.", 503: "It is not, and why."}
    responses = {str(code): _answer(words[code], _OBJECT) for code in (200, *more)}
    return {"get": {"summary": summary, "responses": responses, "security": []}}


def _query(name: str, schema: _Plain) -> _Plain:
    return {"name": name, "in": "query", "schema": schema}


_NUMBER: Final[_Plain] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_SERVER: Final[_Plain] = {
    "server": {"type": "string", "minLength": 1, "maxLength": 1000},
    "admin": {"enum": ["ready", "drain", "maint", None]},
    "weight": {
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": 256},
            {"const": "default"},
            {"type": "null"},
        ]
    },
}
_PAUSE: Final[_Plain] = {
    "why": {"type": "string", "maxLength": 80},
    "for_s": {"type": ["number", "null"], "minimum": 1, "maximum": 30 * 86400},
}

PATHS: Final[_Plain] = {
    "/healthz": _free("Whether the agent answers."),
    "/readyz": _free("Whether this node can serve.", 503),
    "/metrics": _get(
        "Figures, as Prometheus reads them: HAProxy's, of all processes together, and lbctl's own.",
        _answer("Text.", _TEXT, "text/plain"),
        400,
        501,
        503,
        parameters=[
            _query("process", {"type": "integer", "minimum": 1, "maximum": 4096}),
            _query("set", {"const": "own"}),
        ],
    ),
    "/v1/status": _get("This node, and what it knows of the other.", _answer("All.", _OBJECT)),
    "/v1/live": _get(
        "A stream: the node as it is (`snapshot`), then each `change` of it, and each `event`.",
        _answer(
            "Server-sent events; `change` has the keys of `snapshot` that differ.", _TEXT, _SSE
        ),
        503,
    ),
    "/v1/services": _get(
        "Services, and their servers on all processes; with `name` one, and what its servers do.",
        _answer("All.", _OBJECT),
        404,
        parameters=[_query("name", _TEXT)],
    ),
    "/v1/names": _get(
        "How the name of a service or a server may go on.",
        _answer("At most 200 of each.", _OBJECT),
        parameters=[_query("prefix", _TEXT)],
    ),
    "/v1/stats": _get(
        "HAProxy's statistics, of all processes.",
        {
            "description": "JSON, or HAProxy's own CSV.",
            "content": {"application/json": {"schema": _OBJECT}, "text/csv": {"schema": _TEXT}},
        },
        400,
        503,
        parameters=[_query("format", {"enum": ["json", "csv"]})],
    ),
    "/v1/events": _get(
        "What happened: a list with `Accept: application/json`, else a stream of what comes.",
        {
            "description": "Events.",
            "content": {
                "application/json": {"schema": {"type": "array", "items": _OBJECT}},
                "text/event-stream": {"schema": _TEXT},
            },
        },
        400,
        503,
        parameters=[_query("since", _NUMBER), _query("limit", _NUMBER)],
    ),
    "/v1/openapi.json": _get("This description.", _answer("OpenAPI 3.1.", _OBJECT)),
    "/v1/server": _post("A server's state or weight.", _SERVER),
    "/v1/reload": _post(
        "Read the operator's files again.", {"confirm": _FLAG, "force": _FLAG}, 409
    ),
    "/v1/confirm": _post("Let through what is held back.", None),
    "/v1/handover": _post("Move the addresses to the peer.", {"force": _FLAG}, 409),
    "/v1/pause": _post("The addresses are not to move.", _PAUSE, 409),
    "/v1/resume": _post("They may move again.", None, 409),
}


def description(version: str) -> _Plain:
    """All of it."""
    schemas = {"Error": _ERROR, **REGISTRY_COMPONENTS.get("schemas", {})}
    schemes = {
        "token": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "lbctl"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "lbctl", "version": version},
        "security": [{"token": []}, {"cookie": []}],
        "paths": {**PATHS, **REGISTRY_PATHS},
        "components": {**REGISTRY_COMPONENTS, "schemas": schemas, "securitySchemes": schemes},
    }


async def openapi(request: web.Request) -> web.Response:
    """See the module."""
    return web.json_response(description(request.app[AGENT].spec.version))
