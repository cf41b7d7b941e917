"""The group of virtual addresses that this host takes part in: request, settings, network."""

from __future__ import annotations

from lbctl.ha.interfaces import Interface, find
from lbctl.ha.vhid import derived
from lbctl.launch.request import Request
from lbctl.settings.model import Ha
from lbctl.spec import GroupSpec


def group_spec(request: Request, ha: Ha) -> tuple[GroupSpec, Interface]:
    """
    Find the interface and work out the rest.

    Raises:
        ValidationError: the VIP is in no subnet of this host, or the interface is unknown or down.
        NetlinkError: the kernel does not tell.
    """
    vip = request.addresses[0]
    interface = find(vip, ha.interface, others=request.addresses[1:])
    group = GroupSpec(
        vhid=derived(vip) if ha.vhid == "auto" else ha.vhid,
        interface=interface.name,
        source=interface.source,
        vip=vip,
        addresses=request.cidrs,
        engine=ha.engine,
        advbase_s=ha.advbase_s,
        advskew=ha.advskew,
        dead_ratio=ha.dead_ratio,
        drain_s=ha.drain_s,
        track=ha.track,
    )
    return group, interface
