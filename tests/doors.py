"""
A door before the up hook of a node: it lets through, waits, hangs or fails, as a file of the node
says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from lbctl.lab.bundle import LBCTL, Node
from lbctl.layout import share

_DOOR = """\
#!/bin/sh
[ "$1" = --self-test ] && exit 0
case $(cat "$3/../hook") in
    fail) exit 1 ;;
    hang) exec sleep 60 ;;
    slow) sleep 0.5 ;;
esac
exec "$(dirname "$0")/real/vip-up" "$@"
"""


def put_door(node: Node) -> None:
    """Have *node* run with the door in place of its up hook: mounted over it, for it alone."""
    hooks = node.host.directory / "hooks"
    real = hooks / "real"
    real.mkdir(parents=True)
    shutil.copy(share("hooks") / "vip-up", real)
    shutil.copy(share("hooks") / "vip-down", hooks)
    (hooks / "vip-up").write_text(_DOOR)
    (hooks / "vip-up").chmod(0o755)
    (node.host.directory / "hook").write_text("open\n")
    mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
    node.lbctl = ("unshare", "-m", "sh", "-c", mount, str(hooks), str(share("hooks")), *LBCTL)


@contextmanager
def door(node: Node, what: str) -> Iterator[None]:
    """The node's up hook is ``slow``, would ``hang`` or ``fail``."""
    state = node.host.directory / "hook"
    state.write_text(f"{what}\n")
    try:
        yield
    finally:
        state.write_text("open\n")
