from __future__ import annotations

import pytest

from lbctl.haproxy.logs import log_places


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("log /dev/log local2 info", ("/dev/log",)),
        ("log unix@/run/log local0", ("/run/log",)),
        ("log 127.0.0.1   local0", ("127.0.0.1:514",)),
        ("log 127.0.0.1:8514 len 4096 format rfc5424 local0", ("127.0.0.1:8514",)),
        ("log udp@127.0.0.2:514 local0", ("127.0.0.2:514",)),
        ("log localhost local0", ("127.0.0.1:514",)),
        ("log :::514 local0", ()),
        ("log [::1]:1514 local0", ("[::1]:1514",)),
        ("log ipv6@::1:1514 local0", ("[::1]:1514",)),
        ("log 10.0.0.5:514 local0", ()),
        ("log syslog.example.com local0", ()),
        ("log tcp@127.0.0.1:514 local0", ()),
        ("log stdout format raw daemon", ()),
        ("log fd@2 local0", ()),
        ("log ring@buffer local0", ()),
        ("log global", ()),
        ('log "${LOGHOST}:514" local0', ()),
        ("log 127.0.0.1:0 local0", ()),
        ("log", ()),
        ("no log", ()),
        ("# log /dev/log local0", ()),
    ],
)
def test_places_on_this_host_are_found_and_no_others(line: str, expected: tuple[str, ...]) -> None:
    assert log_places(f"global\n    {line}\n") == expected


def test_a_place_counts_once_in_whatever_section() -> None:
    text = (
        "global\n log /dev/log local0\ndefaults\n log 127.0.0.1 local0\n"
        "listen a\n log /dev/log local1\n"
    )

    assert log_places(text) == ("/dev/log", "127.0.0.1:514")


def test_a_ring_or_a_log_forward_is_somebody_elses() -> None:
    assert log_places("ring r\n log /dev/log local0\nlog-forward f\n log 127.0.0.1 local0\n") == ()
