"""The usual lab: two balancers, a client, two web servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.lab.arp import holders
from lbctl.lab.backend import serve
from lbctl.lab.bundle import Node
from lbctl.lab.hosts import Host, Lab
from lbctl.lab.probe import Probe
from lbctl.lab.wait import LabError, wait_until

VIP = "10.0.1.201"
PASSWORD = "foobar23"

_HEAD = """\
global
    maxconn 2000

defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s

frontend web
    bind :80
"""

#: The same text on both nodes, as an operator would have it.
HAPROXY_CFG = f"""\
{_HEAD}    http-response set-header X-Node %[hostname]
    default_backend webs

backend webs
    balance roundrobin
    option httpchk GET /
    default-server check inter 500ms
    server web1 10.0.1.101:80
    server web2 10.0.1.102:80
"""

#: HAProxy answers by itself: what is measured is where the address is, not the web servers.
ANSWERING_CFG = f"""\
{_HEAD}    http-request return status 200 content-type text/plain string ok hdr X-Node %[hostname]
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """
    Two nodes with one virtual IP.

    Attributes:
        vip: the first address.
        ips: the additional ones, as given on the command line.
    """

    lab: Lab
    a: Node
    b: Node
    client: Host
    web1: Host
    web2: Host
    vip: str = VIP
    ips: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.a, self.b

    def start(
        self,
        *,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, object] | str | None = None,
        haproxy_cfg: str | None = HAPROXY_CFG,
    ) -> None:
        """Start both nodes at once; returns before they have a role."""
        for node in self.nodes:
            node.configure(settings=settings, haproxy_cfg=haproxy_cfg)
            self.start_node(node, env=env)

    def start_node(self, node: Node, *, env: Mapping[str, str] | None = None) -> None:
        """Start one node with the configuration that it has."""
        node.start(self.vip, PASSWORD, *self.ips, env=env)

    def masters(self) -> list[Node]:
        """Nodes that say that they are MASTER; one that does not answer says nothing."""
        return [node for node in self.nodes if _role(node) == "MASTER"]

    def wait_settled(self, within_s: float = 20.0) -> tuple[Node, Node]:
        """
        Wait until one node is MASTER and alone holds the address, and the other is BACKUP.

        Returns:
            (master, backup)

        Raises:
            LabError: it does not come to that, or a node ended.
        """

        def settled() -> tuple[Node, Node] | None:
            for master, backup in (self.nodes, self.nodes[::-1]):
                roles = (_role(master), _role(backup))
                if roles == ("MASTER", "BACKUP") and self.holders() == {master.host.mac}:
                    return master, backup
            return None

        def seen() -> str:
            logs = "\n".join(f"--- {node.name}\n{node.text()[-2000:]}" for node in self.nodes)
            return f"{[_role(node) for node in self.nodes]}, held by {self.holders()}\n{logs}"

        answer = wait_until(
            settled, within_s, "one MASTER with the address and one BACKUP", seen=seen
        )
        assert answer is not None
        return answer

    def holders(self) -> set[str]:
        """MACs that answer for the virtual IP."""
        return holders(self.client, self.vip)

    def probe(self, *, interval_ms: float = 10.0, limit_ms: float = 300.0) -> Probe:
        """A client of the virtual IP, not yet started."""
        return Probe(self.client, self.vip, interval_ms=interval_ms, limit_ms=limit_ms)


def make_pair(lab: Lab, vip: str = VIP, ips: tuple[str, ...] = ()) -> Pair:
    """The nodes, not started, and the web servers, serving."""
    for name in ("web1", "web2"):
        serve(lab[name])
    a, b = Node(lab, lab["a"]), Node(lab, lab["b"])
    return Pair(lab, a, b, lab["client"], lab["web1"], lab["web2"], vip, ips)


def _role(node: Node) -> str:
    try:
        return node.role()
    except LabError:
        return ""
