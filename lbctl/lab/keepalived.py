"""keepalived (Debian's package) on a lab host, beside a bundle without a VIP: the one to beat."""

from __future__ import annotations

import re
import shutil
import signal

from lbctl.lab.bundle import Node
from lbctl.lab.hosts import INTERFACE, Lab
from lbctl.lab.process import Process
from lbctl.lab.wait import LabError, wait_until

#: The highest that do not own the address: a backup then waits least after a farewell. Different
#: ones, since of two equal masters (a healed partition) the one that stays announces nothing.
PRIORITIES = (254, 253)
LOWER_PRIORITY = 100
_STATE = re.compile(r"[Ee]ntering (MASTER|BACKUP|FAULT) (?:STATE|state)")

# `net_namespace` and not `ip netns exec`: the kernel tells of processes in its first namespace
# alone, and without that keepalived would have to poll them with a script, once a second at most.
_CONF = """\
net_namespace {namespace}

global_defs {{
    router_id {name}
    script_user root
    enable_script_security
    max_auto_priority 90
    # Else the survivor of a partition may stay silent, and clients at the other node, for ever.
    vrrp_garp_master_refresh 5
}}

vrrp_track_process haproxy {{
    process /usr/sbin/haproxy -W -db -f {haproxy_cfg}
    param_match partial
    quorum 1
}}

vrrp_instance vip {{
    state BACKUP
    {preempt}
    interface {interface}
    virtual_router_id 51
    version 3
    priority {priority}
    advert_int {interval_s:g}
    virtual_ipaddress {{
        {vip}/32
    }}
    track_process {{
        haproxy
    }}
}}
"""


class Keepalived:
    """
    One node's keepalived.

    Args:
        node: its host, and the HAProxy processes that it watches.
        vip: the virtual address.
        interval_s: ``advert_int``.
        priority: its own when all is well.
        preempts: whether a higher priority takes the address from a living master.
    """

    def __init__(
        self, node: Node, vip: str, interval_s: float, priority: int, *, preempts: bool
    ) -> None:
        self.node = node
        self._vip = vip
        self._interval_s = interval_s
        self._priority = priority
        self._preempts = preempts
        self._directory = node.host.directory / "keepalived"
        self._directory.mkdir()
        self._process: Process | None = None
        self._begin = 0

    def start(self) -> None:
        """
        Start it; returns at once.

        Raises:
            LabError: it is not installed.
        """
        if shutil.which("keepalived", path="/usr/sbin:/usr/bin") is None:
            message = "keepalived is not installed; `make setup-test` installs it"
            raise LabError(message)
        self.configure(self._priority)
        where = self._directory
        files = [f"--{name}={where / name}" for name in ("pid", "vrrp_pid", "checkers_pid")]
        argv = ["/usr/sbin/keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog"]
        argv += ["--log-detail", "--use-file", str(where / "keepalived.conf"), *files]
        log = where / "keepalived.log"
        self._begin = log.stat().st_size if log.exists() else 0
        self._process = Process.start(argv, log, None)
        # Ended with the host's other processes when the lab ends.
        self.node.host.processes.append(self._process)

    def configure(self, priority: int) -> None:
        """Write its configuration; it counts from the next start or reload."""
        text = _CONF.format(
            namespace=self.node.host.ns,
            name=self.node.name,
            haproxy_cfg=self.node.run_dir.haproxy_cfg,
            preempt="" if self._preempts else "nopreempt",
            interface=INTERFACE,
            priority=priority,
            interval_s=self._interval_s,
            vip=self._vip,
        )
        (self._directory / "keepalived.conf").write_text(text)

    def reload(self, priority: int | None = None) -> None:
        """Give it another priority (None: its own), as ``systemctl reload`` does."""
        self.configure(self._priority if priority is None else priority)
        if self._process is not None:
            self._process.signal(signal.SIGHUP)

    def stop(self) -> None:
        """SIGTERM, as ``systemctl stop`` sends it, and wait."""
        if self._process is not None:
            self._process.stop(5.0)
            self._process = None

    def role(self) -> str:
        """``MASTER``, ``BACKUP``, ``FAULT``; empty: it does not run, or has not decided yet."""
        if self._process is None or not self._process.is_running:
            return ""
        states = _STATE.findall(self._process.text()[self._begin :])
        return str(states[-1]) if states else ""

    def text(self) -> str:
        """What it has said since its last start."""
        return "" if self._process is None else self._process.text()[self._begin :]


def start_watched(lab: Lab, node: Node, haproxy_cfg: str) -> None:
    """
    Start the bundle without a VIP, and wait until its HAProxy runs, so that nobody sees a fault.

    Raises:
        LabError: it does not run.
    """
    lab.dumpers.append(lambda: f"--- {node.name}\n{node.text()[-2000:]}")
    node.start(haproxy_cfg=haproxy_cfg)
    wait_until(node.programs, 10.0, f"supervisord of {node.name}")
    node.wait_running(within_s=15.0)
