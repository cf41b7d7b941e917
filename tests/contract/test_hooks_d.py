"""hooks.d as ``lbctl check`` judges it: for the user who will run it, not for root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lbctl.launch.host import unprivileged_account
from tests.sites import Site, good_site

pytestmark = pytest.mark.contract


@pytest.fixture(name="site")
def _site() -> Iterator[Site]:
    with good_site() as site:
        yield site


def test_check_refuses_what_the_agents_user_cannot_run(site: Site) -> None:
    """Root could: the file is executable for its owner."""
    hook = site.bundle.config.hooks_d / "up"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o700)
    refused = site.bundle.command("check")
    hook.chmod(0o757)
    accepted = site.bundle.command("check")

    user = unprivileged_account("auto").name
    assert refused.returncode == 13
    assert f"{hook}: is no file that user {user} may run" in refused.stderr
    assert accepted.returncode == 0, accepted.stderr
    assert f"ok: {hook.parent}: 1 program\n" in accepted.stdout
    assert f"warning: {hook}: every user of this host can change what runs" in accepted.stderr
