"""What is left on a host whose bundle was killed as a whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lbctl.ha import carp
from lbctl.ha.address import Addresses
from lbctl.ha.capture import open_capture, read_all
from lbctl.ha.carp import Password, Received
from lbctl.layout import RunDir
from lbctl.spec import GroupSpec
from tests.fakes.netns import Host, wait_until
from tests.specs import bundle_spec

pytestmark = pytest.mark.system

VIP, SECOND, FOREIGN = "10.0.1.201/32", "fd00:1::201/128", "10.0.1.202/32"
PASSWORD = Password(b"foobar23")


@pytest.fixture(name="run")
def _run(tmp_path: Path, hosts: tuple[Host, ...]) -> RunDir:
    """As a bundle with three addresses on the first host leaves it."""
    group = GroupSpec(
        vhid=7,
        interface="eth0",
        source=hosts[0].address,
        vip="10.0.1.201",
        addresses=(VIP, SECOND, FOREIGN),
        engine="ucarp",
        advbase_s=1,
        advskew=0,
        dead_ratio=3,
        drain_s=2.0,
        track=(),
    )
    spec = bundle_spec(user="haproxy", group=group)
    run = RunDir(tmp_path)
    run.ha.mkdir()
    run.spec.write_text(spec.to_json())
    run.password.write_bytes(PASSWORD.reveal() + b"\n")
    return run


def clean_up(host: Host, run: RunDir) -> None:
    host.run(sys.executable, "-I", "-m", "lbctl.ha.aftermath", str(run.root))


def test_what_is_left_is_removed_and_the_peer_told(hosts: tuple[Host, ...], run: RunDir) -> None:
    gone, peer, _ = hosts
    gone.run("ip", "addr", "add", FOREIGN, "dev", "eth0")
    with gone.entered(), Addresses("eth0") as table:
        for address in (VIP, SECOND):
            table.hold(address, lease_s=30)
    with peer.entered():
        ears = open_capture("eth0")
    clean_up(gone, run)
    heard: list[Received] = []

    def has_resigned() -> bool:
        packets = (carp.decode(seen.packet) for seen in read_all(ears))
        heard.extend(one for one in packets if isinstance(one, Received))
        return bool(heard)

    wait_until(has_resigned, within_s=2)
    ears.close()
    with gone.entered(), Addresses("eth0") as table:
        left = set(table.present())
    gone.run("ip", "addr", "del", FOREIGN, "dev", "eth0")

    # Set by hand, for ever: not ours to take away.
    assert left & {VIP, SECOND, FOREIGN} == {FOREIGN}
    assert heard[0].advertisement.advbase == carp.RESIGNATION_ADVBASE
    assert carp.verify(heard[0], vip="10.0.1.201", password=PASSWORD)


def test_after_an_end_in_order_nothing_is_said(hosts: tuple[Host, ...], run: RunDir) -> None:
    host, peer, _ = hosts
    with peer.entered():
        ears = open_capture("eth0")
    clean_up(host, run)
    packets = [carp.decode(seen.packet) for seen in read_all(ears)]
    ears.close()

    assert not any(isinstance(one, Received) for one in packets)


def test_a_start_that_was_refused_leaves_nothing_to_do(
    hosts: tuple[Host, ...], tmp_path: Path
) -> None:
    clean_up(hosts[0], RunDir(tmp_path))
