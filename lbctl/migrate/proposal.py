"""What of an old haproxy.cfg belongs into lb.yaml: as lines to copy, and never a password."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from lbctl.migrate.engine import Migration
from lbctl.migrate.masking import printable
from lbctl.migrate.stats import Pinned
from lbctl.model.address import bracketed


def proposal(migration: Migration, *, source: str, password_file: str) -> tuple[str, ...]:
    """
    Lines for lb.yaml, and what to do beside it; empty where nothing belongs there.

    Args:
        source: where the old text is, for the command that cuts the password out; empty where it
            is nowhere (standard input).
        password_file: where the password is to be.
    """
    if not migration.pinned and migration.processes is None:
        return ()
    lines = ["haproxy:"]
    if migration.processes is not None:
        lines.append(
            f"  processes: {migration.processes}"
            "                # or leave it out: one for each CPU that may be used"
        )
    if migration.pinned:
        lines += _stats(migration.pinned, password_file)
    return (*lines, *_password(migration.pinned, source, password_file))


def _stats(pinned: tuple[Pinned, ...], password_file: str) -> Iterator[str]:
    yield "  stats:"
    addresses = {one.address for one in pinned}
    address = addresses.pop() if len(addresses) == 1 else ""
    is_local = address.startswith("127.") or address in ("[::1]", "::1", "localhost")
    bind = "127.0.0.1" if address == "localhost" else address or "0.0.0.0"
    bind = bracketed(bind)
    quoted = f'"{bind}"' if bind.startswith("[") else bind
    if is_local:
        yield f"    bind: {quoted}"
    else:
        yield f"    bind: {quoted}               # other than loopback: password_file is needed"
    ports = sorted(one.port for one in pinned)
    yield f"    port_base: {ports[0]}"
    users = [one.user for one in pinned if one.user is not None]
    if users:
        yield f"    user: {_yaml(users[0])}"
    if users or not is_local:
        yield f"    password_file: {_yaml(password_file)}"
    if ports != list(range(ports[0], ports[0] + len(ports))):
        yield f"# The ports were {', '.join(map(str, ports))}; now each process has the next one."
    if len(set(users)) > 1:
        yield "# There were several users; now one is for all."
    if {one.uri for one in pinned} != {"/"}:
        yield "# The page is at / now, on each of these ports."
    lost = [number for one in pinned for number in one.lost]
    if lost:
        yield (
            f"# Gone with the listeners (lines {', '.join(map(str, lost))} of the old file): their "
            "acl, admin, http-request, scope, ssl."
        )


def _password(pinned: tuple[Pinned, ...], source: str, password_file: str) -> Iterator[str]:
    """How the password gets into its file, without being shown."""
    with_login = [one for one in pinned if one.password_line is not None]
    if not pinned:
        return
    yield ""
    path = shlex.quote(password_file)
    if with_login and source and with_login[0].is_plain:
        number = with_login[0].password_line
        yield "# The password file, from the old haproxy.cfg:"
        cut = f"sed -n '{number}s/.*auth[ \\t]*[^:]*:\\([^ \\t]*\\).*/\\1/p'"
        yield f"(umask 077; {cut} {shlex.quote(source)} >{path})"
    elif with_login:
        yield f"# The password file: put what stands behind the colon of 'stats auth' into {path},"
        yield "# with mode 600."
    else:
        yield f"# There was no password. For other hosts than this one lbctl wants one, in {path}."


def _yaml(text: str) -> str:
    is_plain = text.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
    return printable(text) if is_plain and not text[:1].isdigit() else f'"{printable(text)}"'
