"""nginx's files: what depends on its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.layout import ConfigDir, RunDir, StateDir
from lbctl.render.nginx import nginx_files


@pytest.mark.parametrize("has_http2", [True, False])
def test_tls_conf_asks_for_http2_where_nginx_knows_the_directive(has_http2: bool) -> None:
    config, run, state = ConfigDir(Path("/c")), RunDir(Path("/r")), StateDir(Path("/s"))
    texts = nginx_files(
        config, run, state, hostname="h", node="n", front="127.0.0.1:80", has_http2=has_http2
    )

    assert ("\nhttp2 on;\n" in texts[run.nginx_tls]) is has_http2
    assert texts[run.nginx_tls].startswith("# Written by lbctl")
