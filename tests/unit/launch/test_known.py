"""What sources of services said last counts at a start, and cannot keep it from starting."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.discovery.saved import write_snapshot
from lbctl.errors import Problem, ValidationError
from lbctl.launch.apart import apart, service_shown
from lbctl.launch.known import ignored, unheard, with_saved, with_snapshots
from lbctl.layout import StateDir
from lbctl.model.service import Route, Server, Service, Snapshot
from lbctl.settings.discovery import Consul, Discovery, Docker, Hosts, ReportTo
from lbctl.settings.model import Settings

CONSUL = Discovery(consul=Consul(url="http://127.0.0.1:8500"))


def service(name: str, *addresses: str, route: Route | None = None) -> Service:
    return Service(name=name, route=route, servers=tuple(Server(address=one) for one in addresses))


def snapshot(source: str, *services: Service, **more: dict[str, object]) -> Snapshot:
    return Snapshot(source, services, 5.0, **more)  # type: ignore[arg-type]


def names(settings: Settings) -> list[str]:
    return [one.name for one in settings.services]


def test_what_a_source_said_last_is_added_to_lb_yaml(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    write_snapshot(state, snapshot("consul", service("a", "10.0.0.1:80"), service("b")))
    operators = service("a", route=Route(host="a.example.com"))
    settings = Settings(discovery=CONSUL, services=(operators,))

    known = with_saved(settings, state)

    assert names(known) == ["a", "b"]
    assert known.services[0].route == operators.route
    assert known.services[0].servers == (Server(address="10.0.0.1:80"),)


def test_a_source_is_unheard_until_it_has_said_something(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    settings = Settings(discovery=CONSUL)
    before = unheard(settings, state)
    write_snapshot(state, snapshot("consul"))

    assert before == ("consul",)
    assert unheard(settings, state) == ()
    assert unheard(Settings(), state) == ()


def test_a_source_that_is_not_asked_any_more_adds_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    for source in ("consul", "docker", "registry"):
        write_snapshot(state, snapshot(source, service(source)))
    reports = Docker(url="unix:///d", report_to=ReportTo(url="http://a"))
    settings = Settings()

    assert with_saved(settings, state) is settings
    assert names(with_saved(Settings(discovery=CONSUL), state)) == ["consul"]
    assert names(with_saved(Settings(discovery=Discovery(docker=reports)), state)) == []
    state.registry.touch()
    assert names(with_saved(settings, state)) == ["registry"]


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b'{"version": 1}', b"[" * 100_000])
def test_a_garbled_file_adds_nothing(tmp_path: Path, content: bytes) -> None:
    state = StateDir(tmp_path)
    state.discovery.mkdir()
    state.snapshot("consul").write_bytes(content)
    settings = Settings(discovery=CONSUL)

    assert with_saved(settings, state) is settings


def test_names_and_settings_of_sources_count() -> None:
    settings = Settings(
        discovery=Discovery(hosts=Hosts(path="/etc/hosts")),
        services=(service("a", "Web.example.com:80", "db.example.com:80"),),
    )
    hosts = snapshot("hosts", names={"web.example.com": ("10.0.0.9", "10.0.0.8")})
    consul = snapshot("consul", settings={"haproxy.maxconn": "1024", "user": "root"})

    known = with_snapshots(settings, [hosts, consul])

    addresses = [one.address for one in known.services[0].servers]
    assert addresses == ["10.0.0.9:80", "db.example.com:80"]
    assert (known.haproxy.maxconn, known.user) == (1024, "auto")
    assert settings.haproxy.maxconn == 4096


def test_a_service_that_cannot_be_beside_others_is_left_out() -> None:
    settings = Settings(services=(service("a", route=Route(host="x.example.com")),))
    found = snapshot(
        "consul",
        service("also", route=Route(host="x.example.com")),
        service("port", route=Route(port=8001)),
        service("good"),
    )

    assert names(with_snapshots(settings, [found])) == ["a", "good"]


def refusing(*wanted: str, blames: bool = True) -> Callable[[Settings], list[str]]:
    """HAProxy, as far as it refuses services by name."""

    def attempt(settings: Settings) -> list[str]:
        bad = [name for name in names(settings) if name in wanted]
        if bad:
            where = [service_shown(name) if blames else "haproxy.cfg" for name in bad]
            raise ValidationError(Problem(one, "refused") for one in where)
        return names(settings)

    return attempt


def test_a_found_service_that_is_refused_is_left_out_alone() -> None:
    settings = Settings(services=(service("a"),))
    known = with_snapshots(settings, [snapshot("consul", service("bad"), service("good"))])

    found, refused = apart(settings, refusing("bad"), with_known=known)

    assert found == ["a", "good"]
    assert [one.where for one in refused] == ["service bad"]


def test_where_nobody_is_blamed_lb_yaml_starts_alone() -> None:
    settings = Settings(services=(service("a"),))
    known = with_snapshots(settings, [snapshot("consul", service("bad"))])

    assert apart(settings, refusing("bad", blames=False), with_known=known) == (["a"], ())
    with pytest.raises(ValidationError, match=r"haproxy\.cfg: refused"):
        apart(Settings(), _always_refused, with_known=known)


def test_a_port_that_somebody_has_costs_no_found_service_but_its_own() -> None:
    settings = Settings(services=(service("a"),))
    port = service("port", route=Route(path="/", port=22))
    known = with_snapshots(settings, [snapshot("consul", service("good"), port)])

    assert apart(settings, refusing("port", blames=False), with_known=known) == (["a", "good"], ())


def test_more_connections_than_this_host_has_files_for_are_not_set_by_a_source() -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    consul = snapshot("consul", settings={"haproxy.maxconn": str(min(files, 10_000_000))})

    assert with_snapshots(Settings(), [consul]).haproxy.maxconn == 4096
    assert "this host's limit of open files" in ignored(Settings(), [consul])[0]


def _always_refused(_: Settings) -> None:
    raise ValidationError([Problem("haproxy.cfg", "refused")])
