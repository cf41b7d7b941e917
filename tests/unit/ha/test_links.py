"""What is said of an interface that goes down, is renamed, vanishes or is made anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.errors import NetlinkError
from lbctl.ha.interfaces import Link
from lbctl.ha.links import Links, Sight

ETH0 = Link("eth0", 4, "02:00:00:00:00:01", is_up=True, has_carrier=True, is_loopback=False)


class Kernel:
    """A kernel with some interfaces."""

    def __init__(self, *links: Link) -> None:
        self.links = list(links)
        self.is_mute = False

    def state(self, name: str) -> Link | None:
        if self.is_mute:
            message = f"looking at {name}: No buffer space available"
            raise NetlinkError(message)
        return next((link for link in self.links if link.name == name), None)

    def name_of(self, index: int) -> str:
        for link in self.links:
            if link.index == index:
                return link.name
        raise OSError(6, "No such device or address")


class Stage:
    def __init__(self, *links: Link) -> None:
        self.kernel = Kernel(*links)
        self.seen: list[Sight] = []
        self.links = Links(
            ["eth0"], self.seen.append, lambda: False, self.kernel.state, self.kernel.name_of
        )

    def look(self, *links: Link) -> Sight:
        """Now there are these."""
        self.kernel.links = list(links)
        self.links.look()
        return self.seen[-1]


@pytest.mark.parametrize(
    ("link", "is_up", "what"),
    [
        (ETH0, True, "eth0 is up"),
        (replace(ETH0, has_carrier=False), False, "eth0 has no carrier"),
        (replace(ETH0, is_up=False), False, "eth0 is down"),
        (replace(ETH0, is_up=False, has_carrier=False), False, "eth0 is down"),
    ],
)
def test_an_interface_carries_packets_when_it_is_up_and_has_a_carrier(
    link: Link, *, is_up: bool, what: str
) -> None:
    assert Stage(ETH0).look(link) == Sight("eth0", is_up, what)


def test_one_that_vanishes_is_gone_and_one_that_is_renamed_is_told_by_its_new_name() -> None:
    stage = Stage(ETH0)
    assert stage.look() == Sight("eth0", False, "eth0 is gone")
    assert stage.links.renamed_to("eth0") == ""

    renamed = replace(ETH0, name="wan")
    assert stage.look(renamed) == Sight("eth0", False, "eth0 was renamed to wan")
    assert stage.links.renamed_to("eth0") == "wan"

    assert stage.look(ETH0) == Sight("eth0", True, "eth0 is up")
    assert stage.links.renamed_to("eth0") == ""


def test_another_one_of_the_old_name_is_no_use_to_the_sockets_there_are() -> None:
    stage = Stage(ETH0)
    anew = replace(ETH0, index=9)

    assert stage.look(anew) == Sight("eth0", False, "eth0 was made anew", is_anew=True)
    # As long as nobody opens them again.
    assert stage.look(anew).is_anew


def test_one_that_comes_late_is_the_one_that_is_meant() -> None:
    stage = Stage()
    assert stage.look(ETH0) == Sight("eth0", True, "eth0 is up")
    assert stage.look(replace(ETH0, index=9)).is_anew


def test_a_kernel_that_does_not_tell_changes_nothing() -> None:
    stage = Stage(ETH0)
    stage.kernel.is_mute = True
    stage.links.look()

    assert stage.seen == []
