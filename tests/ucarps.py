"""A real ucarp on a host, alone: no bundle around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lbctl.ha.carp import Password
from tests.fakes.netns import Host, wait_until

VIP = "10.0.1.201"
VHID = 7
PASSWORD = Password(b"foobar23")


@contextmanager
def ucarp(host: Host, tmp_path: Path, *extra: str) -> Iterator[Path]:
    """It runs in *host* and listens; yields its log."""
    log = tmp_path / f"ucarp-{host.number}.log"
    password = tmp_path / "password"
    password.write_bytes(PASSWORD.reveal() + b"\n")
    command = [
        *("ucarp", "--interface=eth0", f"--srcip={host.address}", f"--vhid={VHID}"),
        *(f"--addr={VIP}", f"--passfile={password}"),
        *("--upscript=/bin/true", "--downscript=/bin/true", *extra),
    ]
    with host.spawned(log, command):
        wait_until(lambda: "state: BACKUP" in log.read_text(), within_s=5)
        yield log
