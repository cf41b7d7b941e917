"""``lbctl check``, as the build of an image runs it: elsewhere, and with no word of a VIP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sites import Site, good_site

pytestmark = pytest.mark.contract


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with good_site() as site:
        yield site


def test_check_judges_for_more_cpus_than_this_host_may_have(site: Site) -> None:
    """An image is built on another machine than it runs on."""
    site.bundle.wrapper = ("taskset", "--cpu-list", "0")
    own = f"global\n    stats socket /run/own.sock\n{site.good_cfg}"
    site.bundle.configure({"haproxy": {"stats": {"port_base": site.stats}}}, haproxy_cfg=own)
    several = site.bundle.command("check")
    site.bundle.configure(site.settings)
    one = site.bundle.command("check")

    assert several.returncode == 13
    assert f"{site.bundle.config.haproxy_cfg}:2: 'stats socket'" in several.stderr
    assert one.returncode == 0, one.stderr


def test_check_refuses_a_bind_that_only_a_master_could_make(site: Site) -> None:
    cfg = site.good_cfg.replace("127.0.0.1:", "192.0.2.201:")
    site.bundle.configure(haproxy_cfg=cfg)
    bare = site.bundle.command("check")
    site.bundle.configure(haproxy_cfg=cfg.replace(f":{site.http}", f":{site.http} transparent"))
    transparent = site.bundle.command("check")

    assert bare.returncode == 13
    assert f"{site.bundle.config.haproxy_cfg}:7: bind 192.0.2.201:{site.http}: " in bare.stderr
    assert "add the word 'transparent'" in bare.stderr
    assert transparent.returncode == 0, transparent.stderr
