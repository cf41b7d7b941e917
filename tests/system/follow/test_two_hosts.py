"""A change on one of two hosts: said while they differ, and forgotten when they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lbctl.lab.bundle import Node
from lbctl.lab.wait import wait_until
from tests.pairs import lbctl
from tests.system.conftest import PairFactory

pytestmark = pytest.mark.system

#: Greetings go every second; status asks both.
TOLD_S = 10.0
SERVICE: dict[str, Any] = {"name": "hello/v1", "servers": [{"address": "10.0.1.101:80"}]}


def _differences(node: Node) -> str:
    done = lbctl(node, "status", "--json")
    found = json.loads(done.stdout)["ha"]["findings"]
    return "\n".join(one["text"] for one in found if "differs" in one["kind"])


def _wait_told(nodes: tuple[Node, Node], *, differ: bool) -> None:
    def told() -> bool:
        return all(bool(_differences(node)) is differ for node in nodes)

    wait_until(
        told, TOLD_S, f"differ: {differ}", seen=lambda: [_differences(node) for node in nodes]
    )


def test_hosts_differ_from_one_reload_to_the_other(start_pair: PairFactory) -> None:
    pair = start_pair(settings={"services": [SERVICE]}, haproxy_cfg=None)
    nodes = (pair.a, pair.b)
    alike = [_differences(node) for node in nodes]
    master = pair.masters()
    more = {**SERVICE, "servers": [*SERVICE["servers"], {"address": "10.0.1.102:80"}]}
    ended = []
    for node, differ in ((pair.a, True), (pair.b, False)):
        node.config.settings.write_text(json.dumps({"services": [more]}))
        ended.append(lbctl(node, "reload").returncode)
        _wait_told(nodes, differ=differ)

    assert alike == ["", ""]
    assert ended == [0, 0]
    assert pair.masters() == master
