"""Environment variables and flags: names, and text that becomes a value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lbctl.errors import ConfigError
from lbctl.layout import ConfigDir
from lbctl.settings.keys import KEYS
from lbctl.settings.load import NO_FLAGS, load
from lbctl.settings.model import Settings

NOWHERE = ConfigDir(Path("/nonexistent"))


def settings_of(environ: Mapping[str, str], flags: Mapping[str, str] = NO_FLAGS) -> Settings:
    return load(NOWHERE, environ=environ, flags=flags)


def problems_of(environ: Mapping[str, str], flags: Mapping[str, str] = NO_FLAGS) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_of(environ, flags)
    return [str(problem) for problem in caught.value.problems]


def test_every_key_has_a_variable_of_its_own() -> None:
    assert len({key.env for key in KEYS.values()}) == len(KEYS)


def test_text_becomes_what_its_key_wants() -> None:
    settings = settings_of(
        {
            "LBCTL_USER": "lb",
            "LBCTL_HA_ADVSKEW": " 10\r",
            "LBCTL_HA_DRAIN_S": "1.5",
            "LBCTL_HA_VHID": "auto",
            "LBCTL_HA_TRACK": "nginx, haproxy",
            "LBCTL_HAPROXY_TIMEOUTS_CLIENT": "5000",
            "LBCTL_HAPROXY_STATS_PASSWORD_FILE": "/run/secrets/stats",
            "LBCTL_HTTP_BIND": "[::]:8080",
        }
    )

    assert (settings.user, settings.ha.advskew, settings.ha.drain_s) == ("lb", 10, 1.5)
    assert (settings.ha.vhid, settings.ha.track) == ("auto", ("nginx", "haproxy"))
    assert settings.haproxy.timeouts.client == "5000"
    assert settings.haproxy.stats.password_file == "/run/secrets/stats"
    assert settings.http.bind == "[::]:8080"


def test_short_names_give_way_to_long_ones() -> None:
    short = {"DEV": "eth1", "VHID": "7"}
    long = {"LBCTL_HA_INTERFACE": "eth2", "LBCTL_HA_VHID": "8"}

    ha, both = settings_of(short).ha, settings_of({**short, **long}).ha

    assert (ha.interface, ha.vhid) == ("eth1", 7)
    assert (both.interface, both.vhid) == ("eth2", 8)


def test_a_short_name_that_is_not_in_force_is_not_judged() -> None:
    assert settings_of({"VHID": "none", "LBCTL_HA_VHID": "8"}).ha.vhid == 8


def test_a_problem_names_the_variable_that_was_set() -> None:
    assert problems_of({"VHID": "300", "DEV": "a:1", "LBCTL_HA_DRAIN_S": "nan"}) == [
        "DEV: ha.interface = 'a:1': must be the name of a network interface, as in eth0, or auto",
        "LBCTL_HA_DRAIN_S: ha.drain_s = 'nan': must be a number 0..4",
        "VHID: ha.vhid = 300: must be 1..255 or auto",
    ]


@pytest.mark.parametrize("text", ["ten", "1_0", "0x10", "٣", "1e1", "", "9" * 5000])
def test_text_that_is_no_number_is_refused_by_the_rule(text: str) -> None:
    (problem,) = problems_of({}, {"ha.advskew": text})

    assert "must be a whole number 0..199" in problem


def test_bytes_that_are_no_text_are_refused() -> None:
    (problem,) = problems_of({"LBCTL_USER": "a\udcff"})

    assert "'a\\udcff': must not hold line breaks or other control characters" in problem


def test_an_empty_variable_counts_as_not_set() -> None:
    """Compose files write ``DEV=${DEV:-}``."""
    environ = {key.env: "" for key in KEYS.values()} | {"DEV": "", "VHID": "", "LBCTL_HA_X": ""}

    assert settings_of(environ) == Settings()


def test_an_empty_flag_empties_a_list_and_a_path() -> None:
    environ = {"LBCTL_HAPROXY_STATS_PASSWORD_FILE": "/x", "LBCTL_HA_TRACK": "nginx"}

    settings = settings_of(environ, {"ha.track": "", "haproxy.stats.password_file": ""})

    assert (settings.ha.track, settings.haproxy.stats.password_file) == ((), None)


def test_unknown_variables_and_flags_are_named_with_the_nearest_known() -> None:
    problems = problems_of(
        {"LBCTL_HTTP_BNID": "x", "LBCTL_HA_Q": "x", "LBCTL_HAPROXY_STATS_PORT": "8001"},
        {"ha.vhdi": "7"},
    )

    assert problems == [
        "LBCTL_HAPROXY_STATS_PORT: unknown variable; did you mean LBCTL_HAPROXY_STATS_PORT_BASE?",
        "LBCTL_HA_Q: unknown variable; docs/configuration.md names them all",
        "LBCTL_HTTP_BNID: unknown variable; did you mean LBCTL_HTTP_BIND?",
        "--ha.vhdi: ha.vhdi: unknown key; did you mean ha.vhid?",
    ]


def test_other_variables_are_left_alone() -> None:
    others = ("CONFIG_DIR", "RUN_DIR", "STATE_DIR", "PASSWORD_FILE", "LOG", "HAPPY", "SERVICE_HOST")

    assert settings_of({f"LBCTL_{name}": "x" for name in others} | {"IPS": "x"}) == Settings()


def test_what_kubernetes_sets_for_a_service_of_that_name_is_left_alone() -> None:
    environ = {
        "LBCTL_HTTP_SERVICE_HOST": "10.96.0.7",
        "LBCTL_HTTP_SERVICE_PORT": "80",
        "LBCTL_HTTP_SERVICE_PORT_WEB": "80",
        "LBCTL_HTTP_PORT": "tcp://10.96.0.7:80",
        "LBCTL_HTTP_PORT_80_TCP": "tcp://10.96.0.7:80",
        "LBCTL_HTTP_PORT_80_TCP_ADDR": "10.96.0.7",
    }

    assert settings_of(environ) == Settings()
