"""What HAProxy is to be, as a text and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.address import split_address
from lbctl.model.target import (
    BEGIN,
    END,
    Target,
    TargetBackend,
    TargetServer,
    meaning,
)

WORD = st.text("abz09.:_-", min_size=1, max_size=12)
ADDRESSES = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"{ip}:80"),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip}]:80"),
    st.just("web.example.com:8080"),
)
SERVERS = st.builds(
    TargetServer,
    name=WORD,
    id=st.integers(1, 2**31 - 1),
    address=ADDRESSES,
    weight=st.integers(0, 256),
    maxconn=st.none() | st.integers(1, 9999),
    cookie=st.just("") | WORD,
    is_backup=st.booleans(),
    admin=st.sampled_from(["ready", "drain", "maint"]),
)
LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30)


@st.composite
def backends(draw: st.DrawFn) -> TargetBackend:
    name = draw(WORD)
    options = draw(st.sampled_from(["", "check", "check inter 2s ssl verify none"]))
    shared = draw(st.sampled_from([f"    default-server {options}\n", ""]))
    remarks = "".join(f"    # {line}\n" for line in draw(st.lists(LINE, max_size=2)))
    fixed = draw(st.sampled_from(["", "balance static-rr"]))
    servers = draw(st.lists(SERVERS, max_size=4, unique_by=lambda server: server.name))
    return TargetBackend(name, f"backend {name}\n{remarks}{shared}", options, tuple(servers), fixed)


TEXTS = st.lists(LINE, max_size=3).map("\n".join)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    some = draw(st.lists(backends(), max_size=3, unique_by=lambda backend: backend.name))
    return Target(draw(TEXTS), {backend.name: backend for backend in some}, draw(TEXTS))


A = TargetServer("a", 7, "10.0.0.1:80")
B = TargetBackend("b", "backend b\n", "", (A,))


@given(targets())
def test_a_target_is_read_back_from_its_text(target: Target) -> None:
    assert Target.parse(target.text()) == target


@given(targets(), TEXTS)
def test_any_text_is_a_target_of_that_very_text_or_none(target: Target, odd: str) -> None:
    text = target.text().replace("server ", odd, 1)
    try:
        found = Target.parse(text)
    except ValueError:
        return

    assert found.text() == text


@pytest.mark.parametrize(
    ("server", "line"),
    [
        (A, "    server a 10.0.0.1:80 id 7 weight 100\n"),
        (
            replace(A, weight=0, maxconn=5, cookie="c", is_backup=True, admin="maint"),
            "    server a 10.0.0.1:80 id 7 weight 0 maxconn 5 cookie c backup disabled\n",
        ),
        (
            replace(A, weight=30, admin="drain"),
            "    server a 10.0.0.1:80 id 7 weight 0 # drained; its weight is 30\n",
        ),
        (
            replace(A, address="web.lan:80"),
            "    server a web.lan:80 id 7 weight 100 resolvers lbctl init-addr last,libc,none\n",
        ),
    ],
)
def test_a_server_line_says_all_of_it(server: TargetServer, line: str) -> None:
    assert server.line() == line


@pytest.mark.parametrize("odd", ["a b", "a\nbind :1", 'a"', "a'", "a#", "a\\", "a$x", "ä", "a\t"])
@pytest.mark.parametrize("place", ["name", "address", "cookie"])
def test_no_word_of_a_server_can_become_two(place: str, odd: str) -> None:
    server = TargetServer(**{"name": "a", "id": 7, "address": "10.0.0.1:80", place: odd})  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="no word that HAProxy keeps"):
        server.line()


@pytest.mark.parametrize(
    "head",
    [
        "backend c\n",
        "backend b",
        "frontend b\n",
        "backend b\n    server x 10.0.0.2:80\n",
        "backend b\nbackend c\n",
        f"backend b\n{END}\n",
        f"backend b\n{BEGIN}\n",
    ],
)
def test_lines_that_would_be_read_back_as_something_else_are_refused(head: str) -> None:
    with pytest.raises(ValueError, match=r"backend 'b'"):
        replace(B, head=head).text()


@pytest.mark.parametrize("mark", [BEGIN, END])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_text_around_with_one_of_the_marks_is_refused(place: str, mark: str) -> None:
    target = Target(**{"before": "global\n", "backends": {"b": B}, place: f"x\n{mark}\n"})  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="stands in the text around"):
        target.text()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(BEGIN, "# begin"),
        lambda text: text.replace(END, "# end"),
        lambda text: text.replace("weight 100", "weight 0100"),
        lambda text: text.replace("weight 100", "weight 100 check"),
        lambda text: text.replace("backend b", "    # mine\nbackend b", 1),
        lambda text: text.replace(END, "    server hand 10.0.0.9:80\n" + END),
        lambda text: text.replace(END, "    timeout server 9s\n" + END),
        lambda text: text.replace(END, "backend b\n" + END),
    ],
)
def test_a_file_that_someone_changed_is_not_taken_for_lbctls(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match=r"."):
        Target.parse(spoil(Target("global\n", {"b": B}).text()))


@given(targets())
def test_each_line_has_its_owner(target: Target) -> None:
    lines = target.text().split("\n")
    owners = [target.owner(number) for number in range(1, len(lines) + 1)]

    first = {f"backend {name}": name for name in target.backends}
    owner: str | None = None
    within = False
    for line, found in zip(lines, owners, strict=True):
        within = within or line == BEGIN
        owner = None if not within or line == END else first.get(line, owner)
        within = within and line != END
        assert found == owner


def test_the_shape_is_blind_to_servers_and_comments_alone() -> None:
    target = Target("global\n", {"b": B}, "listen x\n", {"m": "1"})

    def shaped(**change: object) -> str:
        return replace(target, **change).shape()  # type: ignore[arg-type]

    other = replace(B, servers=(), head="backend b\n    # from consul\n")
    assert shaped(backends={"b": other}, before="# x\nglobal\n") == target.shape()
    shapes = {
        target.shape(),
        shaped(before="global \n  x\n"),
        shaped(after=""),
        shaped(files={"m": "2"}),
        shaped(files={}),
        shaped(backends={}),
        shaped(backends={"b": replace(B, options="check")}),
        shaped(backends={"b": replace(B, head="backend b\n    balance source\n")}),
    }
    assert len(shapes) == 8


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        ("255.249.199.0:65535", ("255.249.199.0", 65535)),
        ("[fd00:0::1]:80", ("fd00::1", 80)),
        ("256.0.0.1:80", None),
        ("10.0.0:80", None),
        ("10.0.0.1.:80", None),
        ("01.0.0.1:80", None),
        ("web.example.com:80", None),
        ("10.0.0.1", None),
        ("[fd00::1]", None),
    ],
)
def test_an_address_is_an_ip_address_or_a_name(address: str, place: tuple[str, int] | None) -> None:
    assert split_address(address) == place


def test_what_haproxy_does_not_read_means_nothing() -> None:
    assert meaning("# a\n\nglobal\n\t maxconn 1 # x\n  # b\n") == "global\nmaxconn 1 # x"
