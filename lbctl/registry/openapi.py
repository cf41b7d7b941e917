"""
What ``POST /v1/registry`` takes and answers, as OpenAPI 3.1 has it: the registry's part of the
description that the agent serves.

The schemas say what :mod:`lbctl.registry.payload` judges; what a schema cannot say (names that must
differ) is in their texts, and answered with 400.
"""

from __future__ import annotations

from typing import Any, Final

from lbctl.registry.words import BODY_MAX_BYTES, CONTAINERS_MAX, NAME_MAX_CHARS, PORT, TABLE

Schema = dict[str, Any]

_COOKIE: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_MODE: Final = "^([Hh][Oo][Ss][Tt]|[Pp][Aa][Tt][Hh])?$"


#: No control characters.
_PRINTED: Final = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"


def _text(description: str, **more: Any) -> Schema:
    said = {"type": "string", "minLength": 1, "maxLength": NAME_MAX_CHARS, "pattern": _PRINTED}
    return {**said, "description": description, **more}


def _or_nothing(description: str, **more: Any) -> Schema:
    """Null and an empty text say nothing."""
    said = {"type": ["string", "null"], "maxLength": NAME_MAX_CHARS, "pattern": _PRINTED}
    return {**said, "description": description, **more}


def _object(required: tuple[str, ...], properties: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": properties,
    }


def _list(items: str, description: str) -> Schema:
    return {
        "type": "array",
        "maxItems": CONTAINERS_MAX,
        "items": {"$ref": f"#/components/schemas/{items}"},
        "description": description,
    }


_NAME: Final = _text("Of the service.")
_ID: Final = _text("Of the container.")
_IP: Final = {
    "type": "string",
    "anyOf": [
        {"format": "ipv4"},
        {"format": "ipv6"},
        {"pattern": rf"^{_BYTE}(\.{_BYTE}){{3}}:[0-9]{{1,5}}$"},
        {"pattern": r"^\[[0-9A-Fa-f:.]{2,45}\]:[0-9]{1,5}$"},
    ],
    "description": "IPv4 or IPv6, with or without a port.",
    "examples": ["192.168.1.9:80", "[fd00::1]:80"],
}

_PAYLOAD: Final = _object(
    ("table", "running", "candidates"),
    {
        "table": _text("Under which the services are kept.", pattern=f"^{TABLE.pattern}$"),
        "running": _list("RegistryRunning", "Containers that run; those that are missing go."),
        "candidates": _list("RegistryCandidate", "Services with containers that are new."),
        "host": _or_nothing("Only containers that were told with the same host may go."),
    },
)
_CANDIDATE: Final = _object(
    ("serviceName", "containers"),
    {
        "serviceName": _NAME,
        "configMode": _or_nothing("host (the default) or path, in any case.", pattern=_MODE),
        "predicate": _or_nothing(
            "host: the name, needed. path: the prefix, with or without its slash; else the name "
            "of the service."
        ),
        "cookie": _or_nothing("The application's own, for sticky sessions.", pattern=_COOKIE),
        "port": {
            "type": ["integer", "string", "null"],
            "minimum": 1,
            "maximum": 65535,
            "default": PORT,
            "description": "Of containers whose ip has none.",
        },
        "containers": _list("RegistryContainer", "They are added; each id once."),
    },
)

_SCHEMAS: Final[Schema] = {
    "RegistryPayload": _PAYLOAD,
    "RegistryRunning": _object(
        ("serviceName", "id", "ip"), {"serviceName": _NAME, "id": _ID, "ip": _IP}
    ),
    "RegistryCandidate": _CANDIDATE,
    "RegistryContainer": _object(("id", "ip"), {"id": _ID, "ip": _IP}),
    "RegistryServices": {
        "type": "object",
        "required": ["services", "ignored"],
        "properties": {
            "services": {
                "type": "array",
                "items": {"type": "object", "required": ["name"]},
                "description": "Of this table, as lb.yaml has them under services.",
            },
            "ignored": _list(
                "RegistryRunning", "Containers that run, of which nobody said how to reach them."
            ),
            "problems": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Services that are left out, and why.",
            },
        },
    },
    "RegistryError": {
        "type": "object",
        "required": ["error", "code"],
        "properties": {
            "error": {"type": "string"},
            "code": {"type": "integer", "description": "As lbctl's commands exit with it."},
            "problems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["where", "what"],
                    "properties": {"where": {"type": "string"}, "what": {"type": "string"}},
                },
            },
        },
    },
}


def _error(description: str) -> Schema:
    schema = {"$ref": "#/components/schemas/RegistryError"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_EXAMPLE: Final = {
    "table": "astro",
    "running": [{"serviceName": "app1", "id": "a23nj53h3j4", "ip": "192.168.1.9:80"}],
    "candidates": [
        {
            "serviceName": "app2",
            "configMode": "host",
            "predicate": "second.example.com",
            "cookie": "JSESSIONID",
            "containers": [{"id": "das843j3h3k", "ip": "192.168.1.10:80"}],
        }
    ],
}

_JSON_BODY: Final = {
    "schema": {"$ref": "#/components/schemas/RegistryPayload"},
    "examples": {"a new service": {"value": _EXAMPLE}},
}
_JSON_ANSWER: Final = {"schema": {"$ref": "#/components/schemas/RegistryServices"}}

#: For ``components`` of the whole description.
COMPONENTS: Final[Schema] = {"schemas": _SCHEMAS}

#: For its ``paths``.
PATHS: Final[Schema] = {
    "/v1/registry": {
        "post": {
            "operationId": "postRegistry",
            "summary": "Tell of containers; the answer is the haproxy.cfg that matches.",
            "description": f"At most {BODY_MAX_BYTES} bytes. The same may be sent again.",
            "parameters": [
                {
                    "name": "format",
                    "in": "query",
                    "required": False,
                    "schema": {"enum": ["json", "text"]},
                    "description": "Else as Accept says: text, unless JSON is wanted.",
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": _JSON_BODY}},
            "responses": {
                "200": {
                    "description": "It is stored, and what is served follows.",
                    "content": {
                        "text/plain": {"schema": {"type": "string"}},
                        "application/json": _JSON_ANSWER,
                    },
                },
                "400": _error("Wrong, with every problem by its place; nothing was changed."),
                "401": _error("Over TCP, without the token."),
                "403": _error("The token is to look only, or another site's page sent it."),
                "413": _error("Too large; nothing was changed."),
                "421": _error("Over the Unix socket: sent to a name that is not this host's."),
                "429": _error("Over TCP: more than `api.rate_per_s`; `Retry-After` says when."),
                "503": _error("The store did not answer; what is served stays as it is."),
            },
        }
    }
}
