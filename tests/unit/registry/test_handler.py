"""The registry as a function: how it is called, what it answers, what it refuses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lbctl.errors import ConfigError, ProviderError
from lbctl.registry import configuration
from lbctl.registry.handler import configuration as configured
from lbctl.registry.handler import handler
from lbctl.registry.reading import PayloadError
from lbctl.registry.store import CellStore
from tests.fakes.memory_cells import MemoryCells
from tests.registries import ARTICLE, body, candidate, plain, runs

REST = {"httpMethod": "POST"}
HTTP = {"version": "2.0", "requestContext": {"http": {"method": "POST"}}}


def servers(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines() if line.startswith("    server ")]


def test_it_remembers_services_as_long_as_they_run() -> None:
    cells = MemoryCells()
    first = configuration(ARTICLE, CellStore(cells))
    second = plain(runs("app2", fds32k4354f="192.168.1.11:80"), table="astro")

    assert servers(first) == ["a23nj53h3j4", "das843j3h3k", "fds32k4354f"]
    assert servers(configuration(second, CellStore(cells))) == ["fds32k4354f"]


def test_each_table_has_a_configuration_of_its_own() -> None:
    cells = MemoryCells()
    configuration(plain([], candidate("a", x="10.0.0.1"), table="one"), CellStore(cells))
    text = configuration(plain([], candidate("a", y="10.0.0.2"), table="two"), CellStore(cells))

    assert servers(text) == ["y"]


def test_every_server_has_a_cookie_of_its_own() -> None:
    lines = configuration(ARTICLE, CellStore(MemoryCells())).splitlines()

    assert '    cookie "JSESSIONID" prefix nocache' in lines
    assert [line.split()[-2:] for line in lines if line.startswith("    server ")] == [
        ["cookie", one] for one in ("a23nj53h3j4", "das843j3h3k", "fds32k4354f")
    ]


def test_settings_come_from_the_environment() -> None:
    environ = {"LBCTL_HTTP_BIND": ":8080", "LBCTL_REGISTRY_CHECK_KIND": "none"}
    text = configured(ARTICLE, CellStore(MemoryCells()), environ)

    assert "    bind :8080\n" in text
    assert "default-server" not in text


def test_a_wrong_payload_is_an_error_with_every_problem() -> None:
    with pytest.raises(PayloadError, match=r"table: is missing\nrunning: is missing"):
        configuration({"candidates": []}, CellStore(MemoryCells()))


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"LBCTL_REGISTRY_STORE: .*redis"):
        configured(ARTICLE, None, {"LBCTL_REGISTRY_STORE": "redis"})


def test_a_file_that_would_not_last_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a function has no disk that lasts: dynamodb or consul"):
        configured(ARTICLE, None, {"LBCTL_REGISTRY_STORE": "sqlite"})


def test_consul_is_asked_with_the_token_of_its_file(tmp_path: Path) -> None:
    environ = {
        "LBCTL_REGISTRY_STORE": "consul",
        "LBCTL_DISCOVERY_CONSUL_URL": f"unix://{tmp_path}/consul.sock",
        "LBCTL_DISCOVERY_CONSUL_TOKEN_FILE": str(tmp_path / "token"),
    }
    with pytest.raises(ConfigError, match=r"token_file: .*token: No such file"):
        configured(ARTICLE, None, environ)
    (tmp_path / "token").write_text("secret-token\n")
    with pytest.raises(ProviderError, match=r"consul unix://.*No such file") as caught:
        configured(ARTICLE, None, environ)

    assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize("form", [REST, HTTP], ids=["format 1.0", "format 2.0"])
@pytest.mark.parametrize("is_base64", [True, False])
def test_the_body_of_a_request_is_the_payload(form: dict[str, Any], is_base64: bool) -> None:
    raw = body({**ARTICLE, "table": "a/b"})
    text = base64.b64encode(raw).decode() if is_base64 else raw.decode()
    answer = handler({**form, "body": text, "isBase64Encoded": is_base64})

    assert isinstance(answer, dict)
    assert answer["statusCode"] == 400
    assert [one["where"] for one in json.loads(answer["body"])["problems"]] == ["table"]


@pytest.mark.parametrize("form", [REST, HTTP], ids=["format 1.0", "format 2.0"])
def test_a_store_that_cannot_be_used_is_503(
    form: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LBCTL_REGISTRY_STORE", "sqlite")
    answer = handler({**form, "body": body(ARTICLE).decode()})

    assert isinstance(answer, dict)
    assert answer["statusCode"] == 503
    assert "a function has no disk" in json.loads(answer["body"])["error"]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"httpMethod": "GET", "body": None}, 405),
        ({**HTTP, "requestContext": {"http": {"method": "PUT"}}}, 405),
        ({**REST, "body": None}, 400),
        ({**REST, "body": "{}"}, 400),
        ({**REST, "body": "%%%", "isBase64Encoded": True}, 400),
        ({**REST, "body": "é" * 10, "isBase64Encoded": True}, 400),
        ({**REST, "body": "[" * (2 << 20)}, 413),
        ({**REST, "body": "\ud800"}, 400),
        ({**REST, "body": {"table": "t"}}, 400),
        ({**REST, "requestContext": None, "body": "{}"}, 400),
        ({"requestContext": None}, 405),
        ({"requestContext": {"http": "POST"}}, 405),
    ],
)
def test_a_wrong_request_gets_4xx(event: dict[str, Any], status: int) -> None:
    answer = handler(event)

    assert isinstance(answer, dict)
    assert answer["statusCode"] == status
    assert answer["headers"] == {"Content-Type": "application/json"}
    assert json.loads(answer["body"])["error"]


@pytest.mark.parametrize("event", [None, 3, "httpMethod", ["httpMethod"], {}, {"table": "\ud800"}])
def test_an_event_that_is_neither_is_a_wrong_payload(event: Any) -> None:
    with pytest.raises(PayloadError):
        handler(event)
