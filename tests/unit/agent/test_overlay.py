"""Settings that sources set: what is brought in, and what is said of it."""

from __future__ import annotations

from lbctl.agent.overlay import Overlay
from lbctl.settings.model import Settings


def overlay() -> tuple[Overlay, list[str]]:
    said: list[str] = []
    return Overlay(lambda _kind, text, _fields: said.append(text)), said


def test_what_is_otherwise_is_said_with_its_source() -> None:
    one, _ = overlay()
    first = one.take({"haproxy.maxconn": ("1024", "consul")})
    again = one.take({"haproxy.maxconn": ("1024", "consul")})
    gone = one.take({})

    assert first == "consul sets haproxy.maxconn = 1024"
    assert again == ""
    assert gone == "consul does not set haproxy.maxconn any more"


def test_settings_are_laid_over_the_operators() -> None:
    one, said = overlay()
    one.take({"haproxy.maxconn": ("1024", "consul"), "haproxy.timeouts.connect": ("7s", "consul")})
    found = one.on(Settings())

    assert (found.haproxy.maxconn, found.haproxy.timeouts.connect) == (1024, "7s")
    assert (said, one.warnings()) == ([], [])


def test_what_is_no_good_is_ignored_and_told_once() -> None:
    one, said = overlay()
    one.take({"haproxy.maxconn": ("many", "consul"), "haproxy.timeouts.client": ("9s", "consul")})
    found = [one.on(Settings()), one.on(Settings())]

    assert found[0].haproxy.maxconn == Settings().haproxy.maxconn
    assert found[0].haproxy.timeouts.client == "9s"
    assert len(said) == 1
    assert said == one.warnings()
    assert said[0].startswith("consul sets haproxy.maxconn: 'many'")


def test_nobody_sets_what_is_not_for_sources() -> None:
    one, said = overlay()
    one.take({"haproxy.stats.port_base": ("1", "consul")})

    assert one.on(Settings()) == Settings()
    assert "cannot be set by a source of services" in said[0]
