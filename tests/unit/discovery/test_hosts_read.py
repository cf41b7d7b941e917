"""The lines of /etc/hosts, good and bad."""

from __future__ import annotations

import pytest

from lbctl.discovery.hosts_read import read_hosts

DOCKERS = b"""\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
# written by the engine

172.16.0.3  AppSrv1 b_myapp.appsrv1.   # a comment
fd00:0::3   appsrv1
172.16.0.4  appsrv1 appsrv1
fe80::1%eth0 zoned
"""


def test_names_have_all_their_addresses_in_the_order_of_the_file() -> None:
    found = read_hosts(DOCKERS)

    assert found.names == {
        "localhost": ("127.0.0.1", "::1"),
        "ip6-localhost": ("::1",),
        "ip6-loopback": ("::1",),
        "appsrv1": ("172.16.0.3", "fd00::3", "172.16.0.4"),
        "b_myapp.appsrv1": ("172.16.0.3",),
    }
    assert found.problems == ()
    assert found.is_whole


@pytest.mark.parametrize(
    ("content", "names", "problem"),
    [
        (b"10.0.0.1 a\r\n10.0.0.2 b\r\n", {"a": ("10.0.0.1",), "b": ("10.0.0.2",)}, ""),
        (b"10.0.0.1 a\nnonsense\n", {"a": ("10.0.0.1",)}, "line 2: 'nonsense' is no address"),
        (b"10.0.0.300 a\n", {}, "line 1: '10.0.0.300' is no address"),
        (b"10.0.0.1 a b;c\n", {"a": ("10.0.0.1",)}, "line 1: 'b;c' is no name"),
        (b"\x00\xff\x00 a\n10.0.0.1 b\n", {"b": ("10.0.0.1",)}, "is no address"),
        (b"10.0.0.1\n", {}, ""),
        (b"10.0.0.1 -a\n", {}, "'-a' is no name"),
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_named_and_the_rest_counts(
    content: bytes, names: dict[str, tuple[str, ...]], problem: str
) -> None:
    found = read_hosts(content)

    assert found.names == names
    assert problem in " ".join(found.problems)
    assert bool(found.problems) == bool(problem)


def test_a_file_full_of_garbage_is_named_in_a_few_sentences() -> None:
    found = read_hosts(b"x\n" * 1000)

    assert len(found.problems) == 6
    assert found.problems[-1] == "995 more of its words make no sense"


@pytest.mark.parametrize("content", [b"", b"10.0.0.1 a", b"10.0.0.1 a\n10.0"])
def test_a_file_without_an_end_is_not_whole(content: bytes) -> None:
    assert not read_hosts(content).is_whole
