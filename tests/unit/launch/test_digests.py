"""What both nodes should have alike changes its digest, and what is a host's own does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest

from lbctl.follow.generation import OperatorSource
from lbctl.ha.carp import Password
from lbctl.launch.digests import digests
from lbctl.launch.inputs import Inputs
from lbctl.layout import ConfigDir
from lbctl.settings.model import Check, Group, Ha, Haproxy, Log, Settings, Stats
from lbctl.spec import GroupSpec
from tests.specs import group_spec

PASSWORD = Password(b"foobar23")


@dataclass(slots=True)
class Node:
    """One node's configuration, to be changed."""

    root: Path
    settings: Settings = field(default_factory=Settings)
    cfg: str = "defaults\n"
    kind: Literal["cfg", "template"] = "cfg"
    certs: dict[str, bytes] = field(default_factory=dict)
    group: GroupSpec = field(default_factory=group_spec)
    password: Password = PASSWORD

    def file(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / "config" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def digests(self) -> dict[str, str]:
        config = ConfigDir(self.root / "config")
        source = OperatorSource(self.kind, str(config.haproxy_cfg), {"haproxy.cfg": self.cfg})
        inputs = Inputs(source if self.cfg else None, self.certs)
        return digests(config, self.settings, inputs, [self.group], self.password)


def ha(**different: object) -> Settings:
    return Settings(ha=Ha(**different))  # type: ignore[arg-type]


def is_changed(change: Callable[[Node], None], tmp_path: Path) -> set[str]:
    """The parts whose digests differ between a node and one with this *change*."""
    before, after = Node(tmp_path / "a"), Node(tmp_path / "b")
    change(after)
    first, second = before.digests(), after.digests()
    return {name for name in first if first[name] != second[name]}


def set_to(**values: object) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        for name, value in values.items():
            setattr(node, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (set_to(cfg="defaults \n"), {"haproxy.cfg"}),
        (set_to(cfg=""), {"haproxy.cfg"}),
        (lambda node: node.file("nginx.d/a.conf", ""), {"nginx.d"}),
        (set_to(certs={"a.pem": b"x"}), {"certs"}),
        (set_to(settings=ha(dead_ratio=4)), {"lb.yaml"}),
        (set_to(settings=Settings(log=Log(format="json"))), {"lb.yaml"}),
        (set_to(settings=ha(track=("nginx", Check(name="x", link="e")))), {"lb.yaml"}),
        (set_to(group=group_spec(vhid=8)), {"addresses"}),
        (set_to(group=group_spec(addresses=("10.0.1.201/24",))), {"addresses"}),
        (lambda node: node.file("hooks.d/up/10-a", ""), {"hooks.d"}),
    ],
)
def test_each_part_has_a_digest_of_its_own(
    change: Callable[[Node], None], parts: set[str], tmp_path: Path
) -> None:
    assert is_changed(change, tmp_path) == parts


OWN = Haproxy(processes=4, stats=Stats(bind="::1"))


@pytest.mark.parametrize(
    "change",
    [
        set_to(settings=ha(advskew=9, drain_s=0.0, interface="eth7", vhid=8)),
        set_to(settings=ha(peers=("10.0.1.12",))),
        set_to(settings=ha(groups=(Group(addresses=("10.0.1.9",), advskew=9),))),
        set_to(settings=Settings(haproxy=OWN)),
        set_to(group=group_spec(advskew=9, source="10.0.1.12", interface="eth7")),
        lambda node: node.file("notes", ""),
    ],
)
def test_what_is_a_hosts_own_affair_is_in_none(
    change: Callable[[Node], None], tmp_path: Path
) -> None:
    assert is_changed(change, tmp_path) == set()


def test_defaults_have_the_digest_that_0_1_0_made_of_them(tmp_path: Path) -> None:
    """Else a pair tells of a difference while one of its hosts is upgraded."""
    assert Node(tmp_path).digests()["lb.yaml"] == "ea025fa09120"


def test_the_same_files_at_another_place_are_the_same(tmp_path: Path) -> None:
    nodes = [Node(tmp_path / name) for name in ("a", "b")]
    for node in nodes:
        node.file("nginx.d/a.conf", "x")

    assert nodes[0].digests() == nodes[1].digests()


def test_content_name_and_mode_of_a_file_count(tmp_path: Path) -> None:
    seen = set()
    for number, (name, text, mode) in enumerate(
        [("up", "x", 0o755), ("up", "y", 0o755), ("down", "x", 0o755), ("up", "x", 0o644)]
    ):
        node = Node(tmp_path / str(number))
        node.file(f"hooks.d/{name}", text, mode)
        seen.add(node.digests()["hooks.d"])

    assert len(seen) == 4


def test_nothing_can_be_told_from_a_digest_without_the_password(tmp_path: Path) -> None:
    one, other = Node(tmp_path / "a"), Node(tmp_path / "b", password=Password(b"another"))
    ours, theirs = one.digests(), other.digests()

    assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in ours.values())
    assert all(ours[name] != theirs[name] for name in ours)
    assert len(set(ours.values())) == len(ours)


def test_a_part_that_is_empty_differs_from_another_one(tmp_path: Path) -> None:
    found = Node(tmp_path, group=replace(group_spec(), addresses=())).digests()

    assert found["nginx.d"] != found["hooks.d"]
