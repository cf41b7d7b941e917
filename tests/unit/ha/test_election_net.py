"""Elections among two and three nodes on a link in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.ha.election_words import Left, Pause, SetAdvskew
from lbctl.ha.role import RoleName
from tests.fakes.virtual_net import NativeNode, UcarpNode, VirtualNet

INTERVAL_S = 0.05
DEAD_S = 0.128
HOP_S = 0.002


def started(net: VirtualNet, *nodes: NativeNode | UcarpNode, settle_s: float = 1.0) -> None:
    net.plug(*nodes)
    for node in nodes:
        node.start()
    net.run(settle_s)


def two(many: int) -> bool:
    return many > 1


def none(many: int) -> bool:
    return many == 0


def test_of_two_that_start_at_once_one_is_master_within_two_dead_times() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)

    assert net.masters() == (a.address,)
    assert net.longest(two) <= HOP_S
    assert net.longest(none) <= 3 * INTERVAL_S + HOP_S


@pytest.mark.parametrize("seed", range(20))
def test_a_dead_master_is_replaced_within_the_dead_time_and_a_hop(seed: int) -> None:
    net = VirtualNet(seed)
    a, b = NativeNode(11), NativeNode(12, advskew=10)
    started(net, a, b, settle_s=1 + net.dice.random())
    a.die()
    net.run(1)

    assert net.masters() == (b.address,)
    assert net.longest(none, since=1001) <= DEAD_S + HOP_S <= 3.5 * INTERVAL_S


def test_a_resignation_moves_the_addresses_within_a_hop() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    a.leave()
    net.run(HOP_S)

    assert b.role is RoleName.MASTER
    assert b.why[-1] == "10.0.1.11 resigned"
    assert a.state is not None
    assert a.state.master is not None
    assert a.state.master.source == b.address

    a.tell(Left())
    net.run(5)

    assert net.masters() == (b.address,)


@pytest.mark.parametrize("seed", range(10))
def test_after_a_partition_two_masters_last_at_most_a_dead_time(seed: int) -> None:
    net = VirtualNet(seed)
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    net.cut(a, b)
    net.run(3 + net.dice.random())
    healed = net.now

    assert len(net.masters()) == 2

    net.heal()
    net.run(2)

    assert net.masters() == (a.address,)
    assert net.changes[-1].at - healed <= DEAD_S


def test_the_faulty_node_gives_way_to_the_healthy_one_and_takes_back_when_better() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12, advskew=100)
    started(net, a, b)
    a.tell(SetAdvskew(244))
    net.run(2 * HOP_S)

    assert net.masters() == (b.address,)

    a.tell(SetAdvskew(0))
    net.run(INTERVAL_S + HOP_S)

    assert net.masters() == (a.address,)
    assert net.longest(none, since=1001) == 0


def test_of_two_faulty_nodes_the_lesser_one_serves() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    a.tell(SetAdvskew(250))
    b.tell(SetAdvskew(244))
    net.run(1)

    assert net.masters() == (b.address,)


def test_failing_back_waits_as_long_as_asked() -> None:
    net = VirtualNet()
    a, b = NativeNode(11, failback_s=10), NativeNode(12, advskew=50, failback_s=10)
    started(net, b)
    net.plug(a)
    a.start()
    net.run(9.9)

    assert net.masters() == (b.address,)

    net.run(0.3)

    assert net.masters() == (a.address,)
    assert a.why[-1] == "10.0.1.12 speaks with advskew 50, which is worse"


def test_while_paused_nobody_takes_over_and_afterwards_somebody_does_at_once() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    for node in (a, b):
        node.tell(Pause(on=True))
    a.tell(SetAdvskew(250))
    net.run(1)

    assert net.masters() == (a.address,)

    a.die()
    net.run(10)

    assert net.masters() == ()

    b.tell(Pause(on=False))
    net.run(HOP_S)

    assert net.masters() == (b.address,)


def test_a_master_that_stood_still_sends_nothing_before_it_steps_back() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    a.stall(5)
    net.run(4.9)
    woke = net.now

    assert b.role is RoleName.MASTER

    net.run(2)
    words = [sender for at, sender, _ in net.packets if at >= woke and sender == a.address]

    assert net.masters() == (b.address,)
    assert words == []
    assert "this process stood still" in a.why


def test_a_backup_that_stood_still_does_not_take_over() -> None:
    net = VirtualNet()
    a, b = NativeNode(11), NativeNode(12)
    started(net, a, b)
    b.stall(5)
    net.run(10)

    assert net.masters() == (a.address,)
    assert net.moves(since=1001) == 0


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_a_lossy_link_moves_the_addresses_at_most_once_a_minute(loss: float) -> None:
    minutes, moves = 2, 0
    for seed in range(3):
        net = VirtualNet(seed, loss=loss)
        started(net, NativeNode(11), NativeNode(12))
        net.run(60 * minutes)
        moves = max(moves, net.moves(since=1001))

    assert moves <= minutes


def test_a_clean_link_that_begins_to_lose_costs_at_most_one_take_over() -> None:
    moves = 0
    for seed in range(10):
        net = VirtualNet(seed)
        started(net, NativeNode(11), NativeNode(12), settle_s=5)
        net.loss = 0.3
        net.run(20)
        moves += net.moves(since=1005)

    assert moves <= 10 * 2 / 3


@pytest.mark.parametrize("advskew", [0, 10])
@pytest.mark.parametrize("seed", range(5))
def test_native_and_ucarp_settle_on_the_better_one(seed: int, advskew: int) -> None:
    """Two masters at most 2.2 s: ucarp hears up to a second late."""
    net = VirtualNet(seed)
    native, ucarp = NativeNode(12, advskew=advskew), UcarpNode(11, advskew=5)
    started(net, native, ucarp, settle_s=12)

    assert net.masters() == ((native if advskew < 5 else ucarp).address,)
    assert net.longest(two) <= 2.2


@pytest.mark.parametrize("seed", range(5))
def test_native_and_ucarp_take_over_from_each_other(seed: int) -> None:
    net = VirtualNet(seed)
    native, ucarp = NativeNode(12), UcarpNode(11, advskew=5)
    started(net, native, ucarp, settle_s=12)
    native.save()
    native.die()
    net.run(8)

    assert net.masters() == (ucarp.address,)

    native.start()
    net.run(3)

    assert net.masters() == (native.address,)

    native.leave()
    net.run(1.1)

    assert ucarp.role is RoleName.MASTER

    ucarp.die()
    native.tell(Left())
    net.run(4)

    assert net.masters() == (native.address,)
    assert net.longest(none, since=1012) <= 3 * (1 + 5 / 256) + 1


@pytest.mark.parametrize("seed", range(10))
def test_no_word_of_a_ucarp_is_refused_but_one_drawn_like_a_native_word(seed: int) -> None:
    net = VirtualNet(seed)
    native, ucarp = NativeNode(12, advskew=20), UcarpNode(11)
    started(net, ucarp, settle_s=5)
    net.plug(native)
    native.start()
    net.run(20)
    ucarp.die()
    net.run(5)
    ucarp.start()
    net.run(20)
    native.die()
    net.run(5)
    native.start()
    net.run(10)

    assert net.masters() == (ucarp.address,)
    assert native.refused == []


Node = NativeNode | UcarpNode
Fault = tuple[str, int, int]
KINDS = [
    "cut",
    "one way",
    "heal",
    "die",
    "start",
    "stall",
    "fault",
    "well",
    "loss",
    "pause",
    "go on",
]
faults = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 2)), max_size=12
)


def inflict(net: VirtualNet, nodes: list[Node], fault: Fault) -> None:
    kind, number, other = fault
    node = nodes[number % len(nodes)]
    match kind:
        case "cut" | "one way":
            net.cut(node, nodes[other % len(nodes)], one_way=kind == "one way")
        case "heal":
            net.heal()
        case "die":
            node.die()
        case "start" if node.role is None:
            node.start()
        case "loss":
            net.loss = 0.1 * number
        case "pause" | "go on":
            pause(nodes, on=kind == "pause")
    if not isinstance(node, NativeNode):
        return
    if kind == "stall":
        node.stall(0.1 + number)
    elif kind in ("fault", "well"):
        node.tell(SetAdvskew(240 + other if kind == "fault" else 10 * other))


def pause(nodes: list[Node], *, on: bool) -> None:
    for node in nodes:
        if isinstance(node, NativeNode):
            node.tell(Pause(on))


def claimed(node: Node) -> int:
    if isinstance(node, UcarpNode):
        return node.advskew
    assert node.state is not None
    return node.state.advskew


def put_right(net: VirtualNet, nodes: list[Node]) -> None:
    net.heal()
    net.loss = 0
    for node in nodes:
        if node.role is None:
            node.start()
    pause(nodes, on=False)


@pytest.mark.parametrize(
    ("natives", "ucarps", "settle_s"),
    [(2, 0, 6), (3, 0, 6), (1, 1, 15), (2, 1, 15)],
    ids=["2 native", "3 native", "native and ucarp", "2 native and ucarp"],
)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), history=faults)
def test_whatever_befell_those_who_see_each_other_have_one_master(
    natives: int, ucarps: int, settle_s: float, seed: int, history: list[Fault]
) -> None:
    net = VirtualNet(seed)
    nodes: list[Node] = [NativeNode(11 + number, interval_s=0.1) for number in range(natives)]
    nodes += [UcarpNode(21 + number, advskew=5) for number in range(ucarps)]
    started(net, *nodes)
    for fault in history:
        inflict(net, nodes, fault)
        net.run(0.7)
    put_right(net, nodes)
    net.run(settle_s)
    settled = net.now
    net.run(3)
    masters = [node for node in nodes if node.role is RoleName.MASTER]

    assert len(masters) == 1
    assert net.moves(since=settled) == 0
    assert claimed(masters[0]) == min(map(claimed, nodes))
