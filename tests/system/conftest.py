"""Fixtures of the system tests: a lab for each test, a started pair, and a dump when one fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from lbctl.lab.hosts import Lab
from lbctl.lab.pair import HAPROXY_CFG, VIP, Pair, make_pair

PairFactory = Callable[..., Pair]


@pytest.fixture(name="lab")
def _lab() -> Iterator[Lab]:
    """Hosts a, b, client, web1 and web2 on one switch; nothing runs on them."""
    with Lab() as lab:
        yield lab


@pytest.fixture(name="start_pair")
def _start_pair(lab: Lab) -> PairFactory:
    """Starts both nodes in a variation; ``settled=False``: return without waiting for roles."""

    def start(
        *ips: str,
        vip: str = VIP,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | str | None = None,
        haproxy_cfg: str | None = HAPROXY_CFG,
        settled: bool = True,
    ) -> Pair:
        pair = make_pair(lab, vip, ips)
        pair.start(env=env, settings=settings, haproxy_cfg=haproxy_cfg)
        if settled:
            for node in pair.nodes:
                node.wait_running(within_s=20)
            pair.wait_settled()
        return pair

    return start


@pytest.fixture(name="pair")
def _pair(start_pair: PairFactory) -> Pair:
    """Two nodes with the VIP 10.0.1.201 over two web servers: one MASTER, one BACKUP."""
    return start_pair()
