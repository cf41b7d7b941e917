"""One text for a HAProxy that lbctl does not run."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.service import Route, Server, Service
from lbctl.registry.standalone import standalone
from lbctl.settings.model import Http, Settings

SERVERS = (Server(id="x", address="10.0.0.1:80"),)


def service(name: str, path: str = "", host: str = "") -> Service:
    return Service(name=name, route=Route(path=path, host=host), servers=SERVERS)


def rules(*services: Service) -> list[str]:
    lines = standalone(services, Settings()).splitlines()
    return [line.strip() for line in lines if line.strip().startswith("use_backend")]


def test_the_strongest_route_is_asked_first() -> None:
    assert rules(
        service("all", path="/"),
        service("v1", path="/hello/v1"),
        service("hello", path="/hello/"),
        service("below", host="*.example.com"),
        service("deep", host="*.a.example.com"),
        service("one", host="One.Example.com"),
    ) == [
        "use_backend one if { var(txn.lbctl_host) -m str one.example.com }",
        "use_backend deep if { var(txn.lbctl_host) -m end .a.example.com }",
        "use_backend below if { var(txn.lbctl_host) -m end .example.com }",
        'use_backend v1 if { path "/hello/v1" } or { path_beg "/hello/v1/" }',
        'use_backend hello if { path "/hello" } or { path_beg "/hello/" }',
        "use_backend all",
    ]


def test_it_names_no_file_and_no_socket() -> None:
    text = standalone([service("a", host="a.example.com")], Settings())

    assert "/nonexistent" not in text
    assert ".map" not in text
    assert "unix@" not in text


def test_it_listens_where_the_settings_say() -> None:
    settings = replace(Settings(), http=Http(bind="127.0.0.1:8080"))

    assert "    bind 127.0.0.1:8080\n" in standalone([], settings)


def test_what_is_left_out_is_named_at_the_top_on_a_line_of_its_own() -> None:
    text = standalone([], Settings(), ["registry: service a\nglobal\n is left out"])

    assert text.startswith(
        "# Written by lbctl from what its registry was told.\n"
        "# registry: service a global is left out\nglobal\n"
    )


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_name_becomes_a_line(names: dict[str, str]) -> None:
    """Whatever a service and its server are called: as many lines, of the same words."""
    found = [
        Service(
            name=name,
            route=Route(host=f"h{at}.example.com"),
            servers=(Server(id=key, address="10.0.0.1:80"),),
        )
        for at, (name, key) in enumerate(names.items())
    ]
    lines = standalone(found, Settings()).splitlines()

    assert len([line for line in lines if line.startswith("backend ")]) == len(found)
    assert len([line for line in lines if line.startswith("    server ")]) == len(found)
    assert all(line.isascii() for line in lines)
