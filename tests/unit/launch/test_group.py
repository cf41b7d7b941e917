"""Groups of the command line and of lb.yaml, on a host with two networks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from lbctl.errors import Problem, ValidationError
from lbctl.ha.interfaces import Interface
from lbctl.ha.vhid import derived
from lbctl.launch.group import Find, group_specs
from lbctl.launch.request import Request
from lbctl.settings.model import Check, Group, Ha

REQUEST = Request(("10.0.1.201/32", "10.0.1.204/24"))


def find(vip: str, name: str = "auto", *, others: Iterable[str] = ()) -> Interface:
    """10.0.1.0/24 on eth0 and 10.0.2.0/24 on eth1; nothing else."""
    for index in (0, 1):
        if vip.startswith(f"10.0.{index + 1}.") and vip in set(others):
            source = f"10.0.{index + 1}.11"
            return Interface(f"eth{index}", index + 2, "02:00:00:00:00:01", source, 24, True, True)
    raise ValidationError([Problem("VIP", f"{vip} is in no subnet of this host")])


_is_find: Find = find


def problems_of(ha: Ha) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        group_specs(REQUEST, ha, find)
    return [str(problem) for problem in caught.value.problems]


def native(*groups: Group, **more: object) -> Ha:
    return Ha(engine="native", groups=groups, **more)  # type: ignore[arg-type]


def test_the_command_lines_group_is_the_first_and_each_has_its_interface() -> None:
    ha = native(
        Group(addresses=("10.0.2.202", "fd00:0::2/64"), advskew=100),
        Group(addresses=("10.0.1.203/24",), vhid=9),
        advskew=5,
        advbase_ms=50,
        peers=("10.0.1.12",),
    )
    first, second, third = (group for group, _ in group_specs(REQUEST, ha, find))

    assert first.addresses == ("10.0.1.201/32", "10.0.1.204/24")
    assert (second.vip, second.addresses) == ("10.0.2.202", ("10.0.2.202/32", "fd00::2/64"))
    assert [group.interface for group in (first, second, third)] == ["eth0", "eth1", "eth0"]
    assert [group.advskew for group in (first, second, third)] == [5, 100, 0]
    assert [group.vhid for group in (first, second, third)] == [
        derived("10.0.1.201"),
        derived("10.0.2.202"),
        9,
    ]
    assert {group.advbase_ms for group in (first, second, third)} == {50}
    assert second.source == "10.0.2.11"


def test_what_is_tracked_by_a_word_is_told_from_checks() -> None:
    ha = Ha(track=("nginx", Check(name="x", link="eth1")))
    ((group, _),) = group_specs(REQUEST, ha, find)

    assert group.track == ("nginx",)


def test_everything_wrong_with_groups_and_peers_is_told_at_once() -> None:
    ha = native(
        Group(addresses=("10.0.1.204",), vhid=9),
        Group(addresses=("10.0.1.205",), vhid=derived("10.0.1.201")),
        Group(addresses=("10.0.3.1",)),
        peers=("10.0.1.11", "10.0.1.12", "10.0.1.205"),
    )
    problems = problems_of(ha)

    assert len(problems) == 5
    assert problems[0].startswith("ha.groups[0]: 10.0.1.204 is in VIP too")
    assert problems[1].startswith(f"ha.groups[1]: vhid {derived('10.0.1.201')} is that of VIP")
    assert problems[2] == "VIP: 10.0.3.1 is in no subnet of this host"
    assert problems[3].startswith("ha.peers: 10.0.1.11 is this host's own address")
    assert problems[4].startswith("ha.peers: 10.0.1.205 is a virtual address")
