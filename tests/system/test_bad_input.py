"""
Starts that the network, or what the host may do on it, makes impossible: each is refused with a
message that names what was found and the way out, and nothing half-started stays.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lbctl.errors import EXIT_VALIDATION
from lbctl.ha.vhid import derived
from lbctl.lab.hosts import Host, Lab
from lbctl.lab.process import Process
from lbctl.lab.wait import wait_until
from tests.bundles import Bundle, Refusal
from tests.places import NOBODY, hidden

pytestmark = pytest.mark.system

VIP = "10.0.1.201"
PASSWORD = "foobar23"
#: Checks, three seconds of listening, and a lease that runs out before an address is somebody's.
LISTENED_S = 10.0

_numbers = itertools.count()

_KEEPALIVED = """\
global_defs {{
    vrrp_startup_delay 0
}}
vrrp_instance other {{
    interface eth0
    state MASTER
    virtual_router_id {vhid}
    priority 150
    advert_int 1
    virtual_ipaddress {{
        10.0.1.77/32
    }}
}}
"""
_CFG = """\
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend web
    bind :80
    bind {bind}
    http-request return status 200 content-type text/plain string good
"""


@pytest.fixture(name="lab", scope="module")
def _lab() -> Iterator[Lab]:
    with Lab(("a", "b")) as lab:
        yield lab


@pytest.fixture(name="bundle")
def _bundle(lab: Lab) -> Iterator[Bundle]:
    """One on host a that would start, in directories of its own."""
    yield from _made(lab)


@pytest.fixture(name="other")
def _other(lab: Lab) -> Iterator[Bundle]:
    """Another one there."""
    yield from _made(lab)


def _made(lab: Lab) -> Iterator[Bundle]:
    bundle = Bundle(lab["a"].directory / f"{next(_numbers)}", lab["a"])
    yield bundle
    bundle.end()


def test_vip_in_no_subnet_is_refused_with_the_subnets_there_are(bundle: Bundle) -> None:
    refused(bundle, "10.9.9.9 is in no subnet", "10.0.1.11/24 on eth0", vip="10.9.9.9")


def test_vip_that_is_the_hosts_own_address_is_refused(bundle: Bundle) -> None:
    refused(bundle, "10.0.1.11 is the address that eth0 has already", vip="10.0.1.11")


def test_loopback_is_refused_as_interface(bundle: Bundle) -> None:
    bundle.environ["DEV"] = "lo"

    refused(bundle, "lo is a loopback")


def test_unknown_interface_is_named_with_those_there_are(bundle: Bundle) -> None:
    bundle.environ["DEV"] = "eth7"

    refused(bundle, "eth7", "no such interface", "eth0")


def test_interface_that_is_down_is_named_with_the_way_up(lab: Lab, bundle: Bundle) -> None:
    with _interface(lab["a"], "10.0.2.1/24"):
        refused(bundle, "lb0 is down", "ip link set lb0 up", vip="10.0.2.9")


def test_interface_without_an_address_is_named(lab: Lab, bundle: Bundle) -> None:
    bundle.environ["DEV"] = "lb0"
    with _interface(lab["a"], None):
        refused(bundle, "lb0 has no IPv4 address", "10.0.1.11/24 on eth0")


@pytest.mark.parametrize("missing", ["net_admin", "net_raw"])
def test_missing_capability_is_named_with_the_option_that_grants_it(
    bundle: Bundle, missing: str
) -> None:
    bundle.wrapper = ("setpriv", f"--bounding-set=-{missing}")

    refused(bundle, missing.upper(), f"--cap-add={missing.upper()}")


def test_both_missing_capabilities_are_reported_at_once(bundle: Bundle) -> None:
    bundle.wrapper = ("setpriv", "--bounding-set=-net_admin,-net_raw")

    refused(bundle, "--cap-add=NET_ADMIN", "--cap-add=NET_RAW", "Podman")


def test_ucarp_that_is_not_installed_is_named_with_its_package(bundle: Bundle) -> None:
    bundle.wrapper = hidden(bundle.root, "ucarp")

    refused(bundle, "ucarp is not installed", "package ucarp")


@pytest.mark.parametrize("address", [VIP, "10.0.1.202"])
def test_bind_to_a_virtual_address_without_transparent_is_named_by_line(
    bundle: Bundle, address: str
) -> None:
    bundle.configure(haproxy_cfg=_CFG.format(bind=f"{address}:8080"))

    where = f"{bundle.config.haproxy_cfg}:8"
    refused(bundle, where, address, "'transparent'", more=("10.0.1.202",))


def test_nginx_listening_on_a_virtual_address_is_refused_with_the_way_out(bundle: Bundle) -> None:
    bundle.config.nginx_d.mkdir()
    (bundle.config.nginx_d / "site.conf").write_text(f"server {{ listen {VIP}:8080; }}\n")

    refused(bundle, f"{VIP}:8080", "listen on the port alone")


def test_ports_below_1024_are_refused_to_a_user_without_the_right(bundle: Bundle) -> None:
    for root in (bundle.run.root, bundle.state.root):
        shutil.chown(root, "nobody", "nogroup")
    bundle.wrapper = NOBODY
    refusal = bundle.refusal()

    assert refusal.status == EXIT_VALIDATION, refusal.said
    refusal.names("HAProxy is to listen on *:80", "not permitted", "NET_BIND_SERVICE")


def test_addresses_that_another_host_has_are_refused_with_its_mac(lab: Lab, bundle: Bundle) -> None:
    b = lab["b"]
    with _address(b, VIP), _address(b, "10.0.1.202"):
        refused(bundle, f"{VIP} is in use", "10.0.1.202 is in use", b.mac, more=("10.0.1.202",))


def test_id_of_a_vrrp_router_is_refused_and_the_free_one_works(
    lab: Lab, bundle: Bundle, other: Bundle
) -> None:
    vhid = derived(VIP)
    with _keepalived(lab["b"], vhid):
        refusal = refused(bundle, f"vhid {vhid}", "10.0.1.12", "VRRP")
        free = _free_id(refusal)
        bundle.environ["VHID"] = str(free)
        bundle.start(VIP, PASSWORD)
        bundle.wait_up()
        wait_until(lambda: bundle.role() == "MASTER", 8, "MASTER beside keepalived")

        assert free != vhid
        bundle.wait_answer(80, address=VIP)
        other.environ["VHID"] = str(free)
        other.configure({"http": {"bind": ":8080"}, "haproxy": {"stats": {"port_base": 9001}}})
        refused(other, f"this host speaks for {VIP} already")
        assert bundle.stop()[0] == 0


def test_id_of_a_pair_with_another_password_is_refused(lab: Lab, bundle: Bundle) -> None:
    vhid = derived(VIP)
    with _ucarp(lab["b"], vhid, "another"):
        refusal = refused(bundle, f"vhid {vhid}", "10.0.1.12", "another password")

        assert _free_id(refusal) != vhid
        assert PASSWORD not in refusal.said


def refused(bundle: Bundle, *words: str, vip: str = VIP, more: tuple[str, ...] = ()) -> Refusal:
    refusal = bundle.refusal(vip, PASSWORD, *more, within_s=LISTENED_S)

    assert refusal.status == EXIT_VALIDATION, refusal.said
    assert "lbctl: error: " in refusal.said
    assert "Traceback" not in refusal.said
    assert refusal.printed == ""
    refusal.names(*words)
    return refusal


def _free_id(refusal: Refusal) -> int:
    found = re.search(r"VHID=(\d+) is free", refusal.said)
    assert found, refusal.said
    return int(found[1])


@contextmanager
def _address(host: Host, address: str) -> Iterator[None]:
    host.run(["ip", "addr", "add", f"{address}/32", "dev", "eth0"])
    try:
        yield
    finally:
        host.run(["ip", "addr", "del", f"{address}/32", "dev", "eth0"])


@contextmanager
def _interface(host: Host, cidr: str | None) -> Iterator[None]:
    """An interface lb0, down if it has an address, else up."""
    host.run(["ip", "link", "add", "lb0", "type", "bridge"])
    try:
        if cidr:
            host.run(["ip", "addr", "add", cidr, "dev", "lb0"])
        else:
            host.run(["ip", "link", "set", "lb0", "up"])
        yield
    finally:
        host.run(["ip", "link", "del", "lb0"])


@contextmanager
def _keepalived(host: Host, vhid: int) -> Iterator[None]:
    """A real VRRP router that advertises."""
    conf = host.directory / "keepalived.conf"
    conf.write_text(_KEEPALIVED.format(vhid=vhid))
    pids = [f"--pid={host.directory}/k.pid", f"--vrrp_pid={host.directory}/v.pid"]
    argv = ["keepalived", "--dont-fork", "--log-console", "--vrrp", f"--use-file={conf}", *pids]
    with _ended(host.spawn(argv, log="keepalived.log")) as process:
        wait_until(
            lambda: "10.0.1.77" in host.run(["ip", "-br", "addr"]).stdout,
            6,
            "keepalived to be MASTER",
            seen=process.text,
        )
        yield


@contextmanager
def _ucarp(host: Host, vhid: int, password: str) -> Iterator[None]:
    """A real ucarp that is master of another address, with another password."""
    argv = ["ucarp", "--interface=eth0", f"--srcip={host.address}", f"--vhid={vhid}"]
    argv += [f"--pass={password}", "--addr=10.0.1.77", "--upscript=/bin/true", "--neutral"]
    argv += ["--downscript=/bin/true"]
    with _ended(host.spawn(argv, log="ucarp.log")) as process:
        wait_until(lambda: "MASTER" in process.text(), 6, "ucarp to be MASTER", seen=process.text)
        yield


@contextmanager
def _ended(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.stop(5)
