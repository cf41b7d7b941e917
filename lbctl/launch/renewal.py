"""What the daemons know of the operator's files, renewed; through vipd the peer knows it too."""

from __future__ import annotations

from lbctl.files import write_atomic
from lbctl.ha.tell import tell_vipd
from lbctl.layout import RunDir
from lbctl.spec import BundleSpec


def renew(run: RunDir, spec: BundleSpec) -> tuple[str, ...]:
    """
    Replace the spec.

    Returns:
        Warnings.

    Raises:
        OSError: it cannot be written.
    """
    write_atomic(run.spec, spec.to_json(), mode=0o644)
    if not spec.groups:
        return ()
    try:
        tell_vipd(run.vipd_socket, {"op": "digests", "digests": dict(spec.digests)})
    except OSError as error:
        return (f"{error}: the peer is told of these files when vipd runs again",)
    return ()
