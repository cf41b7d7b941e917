"""Peers, strangers and holders of addresses, from packets made here."""

from __future__ import annotations

import struct
from dataclasses import replace

from lbctl.ha import carp
from lbctl.ha.capture import Seen
from lbctl.ha.carp import Advertisement, Password
from lbctl.launch.neighbours import problems_heard, problems_held, sort_out
from lbctl.spec import GroupSpec

PASSWORD = Password(b"foobar23")
GROUP = GroupSpec(
    vhid=7,
    interface="eth0",
    source="10.0.1.11",
    vip="10.0.1.201",
    addresses=("10.0.1.201/32",),
    engine="ucarp",
    advbase_s=1,
    advskew=0,
    dead_ratio=3,
    drain_s=2.0,
    track=("haproxy",),
)


def advertised(
    *,
    vhid: int = 7,
    source: str = "10.0.1.12",
    vip: str = "10.0.1.201",
    password: Password = PASSWORD,
    interface: str = "eth0",
    outgoing: bool = False,
    destination: str = carp.GROUP,
) -> Seen:
    payload = carp.encode(Advertisement(vhid, 1, 0, 42), vip=vip, password=password)
    packet = carp.ip_packet(source, payload, destination=destination)
    return Seen(outgoing, interface, packet, 0.0)


def vrrp(vhid: int) -> Seen:
    payload = struct.pack("!BBBBBBH4s8x", 0x21, vhid, 100, 1, 0, 1, 0, bytes(4))
    return Seen(False, "eth0", carp.ip_packet("10.0.1.77", payload), 0.0)


def test_genuine_peer_is_no_problem() -> None:
    heard = sort_out([advertised()], GROUP, PASSWORD)

    assert heard.peers == {"10.0.1.12"}
    assert problems_heard(heard, GROUP) == []


def test_silence_is_no_problem() -> None:
    assert problems_heard(sort_out([], GROUP, PASSWORD), GROUP) == []


def test_same_id_with_another_password_is_a_stranger_with_a_way_out() -> None:
    packets = [advertised(password=Password(b"other")), advertised(vhid=8, source="10.0.1.13")]
    (problem,) = problems_heard(sort_out(packets, GROUP, PASSWORD), GROUP)

    assert "10.0.1.12" in problem.what
    assert "VHID=9 is free" in problem.what


def test_same_id_with_another_vip_is_a_stranger() -> None:
    heard = sort_out([advertised(vip="10.0.1.99")], GROUP, PASSWORD)

    assert set(heard.strangers) == {"10.0.1.12"}


def test_vrrp_with_the_same_id_is_named_with_its_sender() -> None:
    (problem,) = problems_heard(sort_out([vrrp(7)], GROUP, PASSWORD), GROUP)

    assert "10.0.1.77" in problem.what
    assert "VRRP" in problem.what


def test_other_ids_are_nobodys_business() -> None:
    packets = [vrrp(9), advertised(vhid=8, password=Password(b"other"))]

    assert problems_heard(sort_out(packets, GROUP, PASSWORD), GROUP) == []


def test_other_interfaces_are_other_networks() -> None:
    packets = [advertised(interface="eth1", password=Password(b"other"))]

    assert problems_heard(sort_out(packets, GROUP, PASSWORD), GROUP) == []


def test_own_advertisements_mean_that_another_bundle_runs_here() -> None:
    heard = sort_out([advertised(outgoing=True)], GROUP, PASSWORD)

    assert heard.peers == frozenset()
    assert "already" in problems_heard(heard, GROUP)[0].what


ONE_BY_ONE = replace(GROUP, engine="native", peers=("10.0.1.12",))


def test_a_peer_that_is_named_is_heard_where_it_speaks_to_this_host_alone() -> None:
    packet = advertised(destination="10.0.1.11")

    assert sort_out([packet], ONE_BY_ONE, PASSWORD).peers == {"10.0.1.12"}
    assert sort_out([packet], GROUP, PASSWORD).peers == frozenset()
    assert sort_out([advertised()], ONE_BY_ONE, PASSWORD).peers == {"10.0.1.12"}


def test_a_genuine_speaker_that_is_not_named_is_a_stranger_with_a_way_out() -> None:
    packet = advertised(source="10.0.1.13", destination="10.0.1.11")
    (problem,) = problems_heard(sort_out([packet], ONE_BY_ONE, PASSWORD), ONE_BY_ONE)

    assert "10.0.1.13" in problem.what
    assert "name it in ha.peers" in problem.what


def test_own_advertisements_to_a_peer_mean_that_another_bundle_runs_here() -> None:
    packet = advertised(source="10.0.1.11", destination="10.0.1.12", outgoing=True)

    assert sort_out([packet], ONE_BY_ONE, PASSWORD).is_own


def test_groups_are_told_apart_by_id_and_address() -> None:
    other = replace(GROUP, vhid=8, vip="10.0.1.202", addresses=("10.0.1.202/32",))
    packets = [advertised(vhid=8, vip="10.0.1.202", source="10.0.1.14")]

    assert sort_out(packets, other, PASSWORD).peers == {"10.0.1.14"}
    assert problems_heard(sort_out(packets, GROUP, PASSWORD), GROUP) == []


def test_without_a_free_id_none_is_offered() -> None:
    packets = [advertised(vhid=vhid, password=Password(b"x")) for vhid in range(1, 256)]
    (problem,) = problems_heard(sort_out(packets, GROUP, PASSWORD), GROUP)

    assert "no id is free" in problem.what


def test_garbage_is_passed_over() -> None:
    packets = [replace(advertised(), packet=bytes(range(n))) for n in range(60)]

    assert sort_out(packets, GROUP, PASSWORD).peers == frozenset()


def test_holder_is_named_with_address_and_mac() -> None:
    (problem,) = problems_held({"10.0.1.201": ("02:00:00:00:00:0c",)}, GROUP)

    assert "10.0.1.201" in problem.what
    assert "02:00:00:00:00:0c" in problem.what
