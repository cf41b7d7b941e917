"""Frontends and backends over time: what is read, merged and worked out."""

from __future__ import annotations

from typing import Any

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.proxies import Proxies, read_rows, traffic

COLUMNS = (
    "# pxname", "svname", "qcur", "scur", "slim", "stot", "bin", "bout", "status", "act", "bck",
    "rate", "hrsp_5xx", "req_tot", "last_chk",
)  # fmt: skip
FRONT = {"svname": "FRONTEND", "status": "OPEN", "scur": 2, "slim": 100}
BACK = {"svname": "BACKEND", "status": "UP", "qcur": 0, "scur": 1, "act": 2, "bck": 0}


def text(*rows: dict[str, Any]) -> str:
    """``show stat`` with these rows."""
    lines = [",".join(str(row.get(column, "")) for column in COLUMNS) for row in rows]
    return "\n".join([",".join(COLUMNS), *lines, ""])


def web(**more: Any) -> dict[str, Any]:
    return {**FRONT, "# pxname": "web", "bin": 0, "bout": 0, "hrsp_5xx": 0, **more}


def hello(**more: Any) -> dict[str, Any]:
    return {**BACK, "# pxname": "hello", "stot": 0, **more}


def test_rates_are_what_grew_between_two_samples_on_all_processes() -> None:
    proxies = Proxies()
    one = web(stot=10, req_tot=100, bin=1000, bout=5000, hrsp_5xx=1)
    proxies.take({1: text(one), 2: text(one)}, {}, 10.0)
    other = web(stot=12, req_tot=120, bin=3000, bout=9000, hrsp_5xx=2)
    proxies.take({1: text(other), 2: text({**other, "req_tot": 140})}, {}, 12.0)

    found = proxies.shown["web"]
    assert (found["rate"], found["requests_per_s"]) == (2.0, 30.0)
    assert (found["bytes_in_per_s"], found["bytes_out_per_s"]) == (2000, 4000)
    assert found["5xx_per_s"] == 1.0
    assert (found["sessions"], found["limit"]) == (4, 200)


def test_a_first_sample_has_haproxys_own_rate_and_no_more() -> None:
    proxies = Proxies()
    proxies.take({1: text(web(rate=7, req_tot=100))}, {}, 10.0)

    found = proxies.shown["web"]
    assert (found["rate"], found["requests_per_s"]) == (7.0, 7.0)
    assert found["bytes_in_per_s"] is None
    assert traffic(proxies.shown.values())["errors_5xx_per_s"] is None


def test_a_counter_that_is_lower_than_before_began_anew() -> None:
    proxies = Proxies()
    proxies.take({1: text(web(req_tot=1000))}, {}, 10.0)
    proxies.take({1: text(web(req_tot=8))}, {}, 12.0)

    assert proxies.shown["web"]["requests_per_s"] == 4.0


def test_what_a_process_missed_while_it_was_silent_is_no_burst() -> None:
    proxies = Proxies()
    proxies.take({1: text(web(req_tot=0)), 2: text(web(req_tot=0))}, {}, 10.0)
    proxies.take({1: text(web(req_tot=20))}, {}, 12.0)
    proxies.take({1: text(web(req_tot=40)), 2: text(web(req_tot=999))}, {}, 14.0)

    assert proxies.shown["web"]["requests_per_s"] == 10.0


def test_tcp_has_a_request_for_each_session() -> None:
    proxies = Proxies()
    proxies.take({1: text(hello(stot=5))}, {}, 10.0)
    proxies.take({1: text(hello(stot=9))}, {}, 12.0)

    assert proxies.shown["hello"]["requests_per_s"] == 2.0


def test_a_backend_has_the_worst_state_and_the_fewest_servers_of_all_processes() -> None:
    proxies = Proxies()
    down = hello(status="DOWN", act=0)
    proxies.take({1: text(hello(bck=1)), 2: text(down)}, {"hello": 4}, 10.0)

    found = proxies.shown["hello"]
    assert (found["kind"], found["status"]) == ("backend", "DOWN")
    assert (found["servers_up"], found["servers"]) == (0, 4)
    assert found["limit"] is None


def test_a_listen_section_is_one_whose_servers_may_be_down() -> None:
    proxies = Proxies()
    front = {**web(req_tot=3), "# pxname": "both"}
    back = {**hello(status="DOWN", act=0), "# pxname": "both"}
    proxies.take({1: text(front, back)}, {"both": 2}, 10.0)

    found = proxies.shown["both"]
    assert (found["kind"], found["status"], found["limit"]) == ("listen", "DOWN", 100)
    assert (found["servers_up"], found["servers"]) == (0, 2)


def test_what_rests_is_the_same_object_and_what_moves_is_not() -> None:
    proxies = Proxies()
    for at in (10.0, 12.0):
        proxies.take({1: text(web(), hello())}, {"hello": 2}, at)
    was = dict(proxies.shown)
    proxies.take({1: text(web(), hello(stot=4))}, {"hello": 2}, 14.0)

    assert proxies.shown["web"] is was["web"]
    assert proxies.shown["hello"]["requests_per_s"] == 2.0


def test_a_server_more_is_a_change_though_nothing_was_counted() -> None:
    proxies = Proxies()
    for at in (10.0, 12.0):
        proxies.take({1: text(hello())}, {"hello": 2}, at)
    proxies.take({1: text(hello())}, {"hello": 3}, 14.0)

    assert proxies.shown["hello"]["servers"] == 3


def test_lbctls_own_listeners_are_left_out() -> None:
    proxies = Proxies()
    own = {**web(), "# pxname": "lbctl-stats-01"}
    proxies.take({1: text(own, web())}, {}, 10.0)

    assert [*proxies.shown] == ["web"]


def test_traffic_is_the_sum_of_the_frontends() -> None:
    proxies = Proxies()
    other = {**web(), "# pxname": "other"}
    proxies.take({1: text(web(req_tot=0), other, hello(stot=0))}, {}, 10.0)
    proxies.take({1: text(web(req_tot=10), {**other, "req_tot": 6}, hello(stot=50))}, {}, 12.0)

    assert traffic(proxies.shown.values())["requests_per_s"] == 8.0


def test_a_quoted_cell_is_one_cell() -> None:
    rows = read_rows(text(web(last_chk='"a, b"'), hello(status='"DOWN, 1"')), {})

    assert rows["hello", "BACKEND"].status == "DOWN, 1"


@pytest.mark.parametrize(
    "said",
    ["", "Unknown command\n", "# pxname,svname,\n", text(web(scur="x")), text(web()) + "a\n"],
)
def test_what_is_no_statistics_is_said(said: str) -> None:
    with pytest.raises(RuntimeApiError, match="no statistics from this process"):
        read_rows(said, {})

    assert Proxies().take({3: said}, {}, 1.0).keys() == {3}
