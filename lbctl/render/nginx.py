"""
Text of nginx's files: its configuration, the TLS parameters, and the page it serves at first.

Pure but for reading templates. The operator's ``nginx.d`` is included as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lbctl.layout import ConfigDir, RunDir, StateDir, share
from lbctl.model.address import bracketed
from lbctl.render.engine import render_file

HTTP_PORT = 80


def nginx_files(
    config: ConfigDir,
    run: RunDir,
    state: StateDir,
    *,
    hostname: str,
    node: str,
    front: str,
    has_http2: bool = False,
) -> dict[Path, str]:
    """
    What nginx runs with, by file.

    Args:
        hostname: for the page.
        node: this node's identity, for the page.
        front: HAProxy's own frontend as a client on this host dials it: ``127.0.0.1:80``.
        has_http2: nginx knows ``http2 on;``.
    """
    conf = share("conf")
    return {
        run.nginx_conf: render_file(
            conf / "nginx.conf.j2", {"run": run, "nginx_d": config.nginx_d, "front": front}
        ),
        run.nginx_tls: render_file(
            conf / "templates" / "tls.conf.j2", {"pair": state.self_signed, "has_http2": has_http2}
        ),
        run.nginx_page: render_file(
            conf / "www" / "index.html",
            {"hostname": hostname, "node": node, "config_dir": str(config.root)},
        ),
    }


def front_door(binds: Sequence[tuple[str, int]]) -> str:
    """
    Where a program on this host reaches HAProxy's frontend: port 80 if it is bound, else the first.

    Args:
        binds: address and port; ``*`` and ``::`` are every address.
    """
    address, port = next(
        (bind for bind in binds if bind[1] == HTTP_PORT), binds[0] if binds else ("*", HTTP_PORT)
    )
    host = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    return f"{bracketed(host)}:{port}"
