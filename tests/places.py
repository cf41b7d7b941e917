"""Where a test starts a bundle: directories, ports, and a host that lacks something."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

#: What makes the rest of a command line another user's, without any capability.
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all")


#: Below those that the kernel gives to clients (net.ipv4.ip_local_port_range): nobody's connection,
#: of this test or of another one, takes a port between the look at it and its use.
_PORTS = range(12000, 32000)
_BLOCK = 200


class _Block:
    """Ports that are this process's alone, as long as it lives: it holds a name that says so."""

    def __init__(self) -> None:
        self._name = socket.socket(socket.AF_UNIX)
        self._first = next(first for first in _PORTS[::_BLOCK] if self._is_ours(first))
        self._used = 0

    def _is_ours(self, first: int) -> bool:
        try:
            self._name.bind(f"\0lbctl-test-ports-{first}")
        except OSError:
            return False
        return True

    def take(self, count: int) -> range:
        """The next *count*, side by side; in the end from the beginning again."""
        if self._used + count > _BLOCK:
            self._used = 0
        first = self._first + self._used
        self._used += count
        return range(first, first + count)


_own_block = functools.cache(_Block)


def free_ports(count: int) -> list[int]:
    """Consecutive TCP ports that nobody has, and that no other test process is given."""
    for _ in range(_BLOCK):
        ports = _own_block().take(count)
        with ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.create_server(("0.0.0.0", port)))
            except OSError:
                continue
        return list(ports)
    message = "no free ports"
    raise AssertionError(message)


def hidden(root: Path, *programs: str) -> tuple[str, ...]:
    """A wrapper in whose mounts these programs are not: lbctl looks beyond PATH."""
    empty = root / "not-installed"
    empty.write_text("")
    found = [path for name in programs if (path := shutil.which(name))]
    assert len(found) == len(programs)
    hide = " && ".join(f"mount --bind {empty} {os.path.realpath(path)}" for path in found)
    return ("unshare", "-m", "sh", "-c", f'{hide} && exec "$@"', "sh")


@contextmanager
def open_directory() -> Iterator[Path]:
    """A short path that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="lb-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
