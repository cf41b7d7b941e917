"""A stranger without the password who has captured everything: none of its packets counts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from lbctl.ha import carp
from lbctl.ha.carp import Refusal
from lbctl.ha.role import RoleName
from tests.fakes.carp_packets import changed, from_elsewhere
from tests.fakes.virtual_net import NativeNode, UcarpNode, VirtualNet

Dice = random.Random
Forgery = Callable[[Dice, list[bytes]], bytes]

PACKETS = 100_000
#: Forged packets that arrive between two genuine ones.
AT_ONCE = 50


def noise(dice: Dice, captured: list[bytes]) -> bytes:
    del captured
    return dice.randbytes(dice.randrange(80))


def mutated(dice: Dice, captured: list[bytes]) -> bytes:
    body = bytearray(dice.choice(captured))
    for _ in range(dice.randrange(1, 5)):
        body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
    return bytes(body)


def replayed(dice: Dice, captured: list[bytes]) -> bytes:
    return dice.choice(captured)


def newest_again(dice: Dice, captured: list[bytes]) -> bytes:
    return captured[-1 - dice.randrange(3)]


def resigned(dice: Dice, captured: list[bytes]) -> bytes:
    return changed(dice.choice(captured), advbase=255, advskew=dice.randrange(256))


def better(dice: Dice, captured: list[bytes]) -> bytes:
    return changed(dice.choice(captured), advbase=dice.randrange(3), advskew=dice.randrange(256))


def moved(dice: Dice, captured: list[bytes]) -> bytes:
    source = f"10.0.1.{dice.randrange(1, 255)}"
    body = changed(dice.choice(captured), advbase=dice.choice((0, 1, 255)))
    return from_elsewhere(body, source)


def truncated(dice: Dice, captured: list[bytes]) -> bytes:
    return dice.choice(captured)[: dice.randrange(56)]


def other_vhid(dice: Dice, captured: list[bytes]) -> bytes:
    return changed(dice.choice(captured), vhid=dice.randrange(8, 256))


def other_ttl(dice: Dice, captured: list[bytes]) -> bytes:
    return changed(dice.choice(captured), ttl=dice.randrange(255))


REPLAYS = {Refusal.REPLAYED, Refusal.NOT_NATIVE, Refusal.OWN_SOURCE}
MALFORMED = {
    *(Refusal.TRUNCATED, Refusal.NOT_IPV4, Refusal.WRONG_PROTOCOL, Refusal.FRAGMENT),
    *(Refusal.WRONG_TTL, Refusal.WRONG_VERSION, Refusal.WRONG_AUTHLEN, Refusal.WRONG_LENGTH),
    *(Refusal.BAD_CHECKSUM, Refusal.WRONG_DESTINATION, Refusal.WRONG_VHID, Refusal.BAD_DIGEST),
}
FORGERIES: dict[Forgery, set[Refusal]] = {
    noise: MALFORMED,
    mutated: MALFORMED | REPLAYS,
    replayed: REPLAYS,
    newest_again: REPLAYS,
    resigned: REPLAYS,
    better: REPLAYS,
    moved: REPLAYS,
    truncated: {Refusal.TRUNCATED},
    other_vhid: {Refusal.WRONG_VHID},
    other_ttl: {Refusal.WRONG_TTL},
}


def captured_from(net: VirtualNet) -> list[bytes]:
    return [packet for _, _, packet in net.packets]


def past(net: VirtualNet, a: NativeNode, b: NativeNode) -> None:
    """Both have been MASTER and have resigned, so that the stranger has words of every kind."""
    net.plug(a, b)
    a.start()
    b.start()
    net.run(3)
    for leaver in (a, b):
        leaver.leave()
        net.run(0.1)
        leaver.tell_left()
        net.run(3)
    b.save()
    b.die()
    b.start()
    net.run(1)


def assault(net: VirtualNet, victim: NativeNode, many: int) -> dict[Forgery, Counter[Refusal]]:
    """*many* forged packets, whenever the genuine ones leave time; what *victim* made of them."""
    told: dict[Forgery, Counter[Refusal]] = {forgery: Counter() for forgery in FORGERIES}
    forgeries = list(FORGERIES)
    for number in range(many):
        if number % AT_ONCE == 0:
            net.run(0.025)
            captured = captured_from(net)
        forgery = forgeries[number % len(forgeries)]
        before = len(victim.refused)
        victim.hear(forgery(net.dice, captured))
        told[forgery].update(victim.refused[before:])
    return told


@pytest.mark.parametrize("is_master", [True, False], ids=["master", "backup"])
def test_none_of_100_000_forged_packets_changes_a_role_and_each_is_counted(
    is_master: bool,
) -> None:
    net = VirtualNet(3)
    a, b = NativeNode(11), NativeNode(12)
    past(net, a, b)
    victim = a if is_master else b
    began, masters = net.now, net.masters()

    assert masters == (a.address,)

    told = assault(net, victim, PACKETS // 2)

    assert net.masters() == masters
    assert net.moves(since=began) == 0
    for forgery, refusals in told.items():
        assert refusals.total() == PACKETS // 2 // len(FORGERIES)
        assert set(refusals) <= FORGERIES[forgery]


def test_a_native_backup_of_a_ucarp_believes_no_replay_either() -> None:
    net = VirtualNet(4)
    ucarp, native = UcarpNode(11), NativeNode(12, advskew=10)
    net.plug(ucarp, native)
    ucarp.start()
    native.start()
    net.run(20)
    began = net.now
    told = assault(net, native, 5_000)

    assert net.masters() == (ucarp.address,)
    assert net.moves(since=began) == 0
    assert Refusal.REPLAYED in told[resigned]
    assert all(set(refusals) <= FORGERIES[forgery] for forgery, refusals in told.items())
    assert sum(refusals.total() for refusals in told.values()) == 5_000


def test_what_a_stranger_holds_back_and_changes_is_refused_before_the_original_comes() -> None:
    """One who sits in the path: the tag covers what CARP does not sign."""
    net = VirtualNet(5)
    a, b = NativeNode(11), NativeNode(12)
    past(net, a, b)
    net.cut(a, b)
    net.run(0.05)
    unheard = [packet for _, _, packet in net.packets[-2:]]
    before = len(b.refused)
    for packet in unheard:
        b.hear(changed(packet, advbase=255, advskew=0))
        b.hear(changed(packet, advskew=9))

    assert b.role is RoleName.BACKUP
    assert b.refused[before:] == [Refusal.NOT_NATIVE] * 4
    assert all(isinstance(carp.decode(packet), carp.Received) for packet in unheard)
