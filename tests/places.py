"""Where a test starts a bundle: directories, ports, and a host that lacks something."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What makes the rest of a command line another user's, without any capability.
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all")


def free_ports(count: int) -> list[int]:
    """Consecutive TCP ports that nobody has, at this moment."""
    for base in range(20000 + os.getpid() % 5000, 60000, count):
        try:
            sockets = [socket.create_server(("0.0.0.0", base + step)) for step in range(count)]
        except OSError:
            continue
        for one in sockets:
            one.close()
        return list(range(base, base + count))
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
