from __future__ import annotations

import asyncio

import pytest

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.seen import SeenServer, parse_seen, read_seen
from tests.fakes.haproxy_runtime import RecordingRuntime
from tests.fakes.haproxy_servers import STATE_HEADER

MORE = " srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port"
REPLY = f"""1
{STATE_HEADER}{MORE}
3 b 5 s1 127.0.0.1 0 5 100 90 0 1 0 0 14 0 0 1 - 9 - 0 0 - - 0
3 b 7 s2 fd00::1 2 8 0 0 0 1 0 2 6 0 0 1 - 10 - 0 0 - - 0
4 c:v1 1 s1 - 0 32 1 1 0 1 0 2 2 0 0 0 web.lan 80 - 0 0 - - 0
4 c:v1 2 s2 10.0.0.1 1 9 1 1 0 1 0 2 0 0 0 0 - 80 - 0 0 - - 0
"""


def test_each_server_is_read_with_its_flags() -> None:
    seen = parse_seen(REPLY)

    assert seen == {
        "b": {
            "s1": SeenServer(5, "127.0.0.1", 9, "maint", 100, 90, "on", 0),
            "s2": SeenServer(7, "fd00::1", 10, "drain", 0, 0, "on", 2),
        },
        "c:v1": {
            "s1": SeenServer(1, "", 80, "ready", 1, 1, "off", 0, "web.lan"),
            "s2": SeenServer(2, "10.0.0.1", 80, "maint", 1, 1, "none", 1),
        },
    }


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "2\n" + REPLY[2:],
        REPLY.replace("srv_uweight", "weight"),
        REPLY.replace("3 b 5 s1", "3 b five s1"),
        REPLY[: REPLY.index(" web.lan")],
    ],
)
def test_another_format_is_no_answer(reply: str) -> None:
    with pytest.raises(RuntimeApiError, match="show servers state"):
        parse_seen(reply)


def test_a_backend_without_servers_is_seen_and_one_that_is_not_there_is_not() -> None:
    empty = f"1\n{STATE_HEADER}\n"
    runtime = RecordingRuntime({"show servers state b": REPLY, "show servers state e": empty})
    runtime.refusals["show servers state no"] = "Can't find backend."
    seen = asyncio.run(read_seen(runtime, ["b", "e", "no"]))

    assert seen.keys() == {"b", "e"}
    assert seen["e"] == {}


def test_any_other_refusal_is_no_answer() -> None:
    runtime = RecordingRuntime()
    runtime.refusals["show servers state b"] = "Permission denied"

    with pytest.raises(RuntimeApiError, match="Permission denied"):
        asyncio.run(read_seen(runtime, ["b"]))


@pytest.mark.parametrize("backends", [None, ["b"]])
def test_in_full_cookie_rank_and_maxconn_are_seen(backends: list[str] | None) -> None:
    table = "# pxname,svname,slim,bck,cookie,\nb,s1,,0,,\nb,s2,9,1,c,\nz,s9,1,0,,\n"
    runtime = RecordingRuntime(
        {
            "show servers state": REPLY,
            "show servers state b": REPLY,
            "show stat -1 4 -1": table,
            "show stat b 4 -1": table,
        }
    )
    seen = asyncio.run(read_seen(runtime, backends, in_full=True))["b"]

    assert [(one.limit, one.cookie, one.is_backup) for one in seen.values()] == [
        (0, "", False),
        (9, "c", True),
    ]
