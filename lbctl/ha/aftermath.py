"""
The last hand on the addresses, when everything else has ended.

``python -I -m lbctl.ha.aftermath RUN_DIR``, run by the service manager after each end. Where
supervisord was killed, systemd kills the others within a moment, and vipd may not get to give the
addresses away: they would stay for their lease, while the peer takes over or waits for its dead
time. After an end in order there is nothing left to do.
"""

from __future__ import annotations

import secrets
import socket
import sys
import time
from pathlib import Path

from lbctl.errors import EXIT_OK, LbctlError, UnreachableError
from lbctl.ha.address import Addresses
from lbctl.ha.announce import Sender
from lbctl.ha.carp import Password, resignation
from lbctl.ha.counter import Clockwork, TagKey
from lbctl.ha.memory import Memory
from lbctl.ha.mouth import Mouth, Multicast, Unicast
from lbctl.layout import RunDir, StateDir
from lbctl.spec import BundleSpec, GroupSpec, read_spec

#: vipd is told of supervisord's end by the kernel, and needs milliseconds.
VIPD_WAIT_S = 1.0
_LOOK_EVERY_S = 0.01


def main(arguments: list[str]) -> int:
    """Returns an exit code, which the service manager ignores."""
    run = RunDir(Path(arguments[0]))
    try:
        spec = read_spec(run.spec)
    except UnreachableError:
        # Refused before anything was started.
        return EXIT_OK
    if not spec.groups:
        return EXIT_OK
    _wait_for_vipd(run.vipd_socket)
    code = EXIT_OK
    for group in spec.groups:
        try:
            _give_away(spec, group, run)
        except LbctlError as error:
            _say(f"{error}; what is still here goes with its lease, within seconds")
            code = error.exit_code
    return code


def _give_away(spec: BundleSpec, group: GroupSpec, run: RunDir) -> None:
    with Addresses(group.interface) as table:
        present = table.present()
        # Without a lease it is not ours.
        held = [address for address in group.addresses if present.get(address) is not None]
        for address in held:
            table.drop(address)
    if held:
        _say(f"the bundle was killed: {', '.join(held)} removed here, the peer told")
        with Sender(group.interface) as sender:
            _resign(spec, group, Password.read(run.password), sender)


def _resign(spec: BundleSpec, group: GroupSpec, password: Password, sender: Sender) -> None:
    if not group.is_native:
        # Below the half of all counters, as ucarp's are by chance: a native peer's look otherwise.
        counter = secrets.randbits(63)
        frame = resignation(
            group.vhid, counter, source=group.source, vip=group.vip, password=password
        )
        sender.send([frame])
        return
    position = Memory(StateDir(Path(spec.state_dir)).carp, time.time()).position(group.vhid)
    clockwork = Clockwork(position=position, wall_s=time.time(), now=time.monotonic())
    way = Unicast(group, password) if group.peers else Multicast(group, password, sender)
    Mouth(group, way, TagKey(password), clockwork).resign()


def _wait_for_vipd(path: Path) -> None:
    """Until it is gone, or it is clear that it will not go."""
    deadline = time.monotonic() + VIPD_WAIT_S
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(str(path))
            except OSError:
                return
        time.sleep(_LOOK_EVERY_S)


def _say(text: str) -> None:
    print(f"lbctl: warning: {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
