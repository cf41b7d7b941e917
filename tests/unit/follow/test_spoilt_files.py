"""Files in the run dir that somebody has spoilt say what runs again before they count."""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path

import pytest

from lbctl.follow.follower import AUDIT_EVERY_S, CHECK_EVERY_S
from lbctl.follow.host import HostWorld
from lbctl.follow.world import Wanted
from lbctl.layout import RunDir
from lbctl.model.target import Target
from tests.fakes.programs import FakePrograms
from tests.fakes.timeless import in_no_time
from tests.fakes.world import FakeWorld, service
from tests.specs import bundle_spec
from tests.unit.follow.test_follower import A, B, Site


@in_no_time
async def test_a_file_that_somebody_has_spoilt_is_written_anew_by_the_next_look(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    good = site.world.disk
    site.world.disk = Wanted()
    await site.quiet(AUDIT_EVERY_S + 1.0)
    await site.end()

    assert site.world.disk == good
    assert [text for text in site.texts("reload") if "not what runs" in text]
    assert len(site.world.reloads) == 1


@in_no_time
async def test_a_spoilt_file_is_written_anew_when_the_files_are_read_again(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    good = site.world.disk
    site.world.disk = Wanted()
    applied = await site.base(service("hello", A, B))
    await site.end()

    assert (applied.did, site.world.disk) == ("nothing", good)


@in_no_time
async def test_a_haproxy_that_does_not_come_back_gets_its_files_at_once(tmp_path: Path) -> None:
    site = Site(tmp_path, FakeWorld())
    await site.base(service("hello", A, B))
    good = site.world.disk
    site.world.disk = Wanted()
    site.world.lives[1].is_silent = True
    site.follower.process_restarted("haproxy-01")
    await site.quiet(2 * CHECK_EVERY_S)
    await site.end()

    assert site.world.disk == good


def test_what_stands_in_the_place_of_a_file_is_replaced_and_never_followed(tmp_path: Path) -> None:
    run, foreign = RunDir(tmp_path / "run"), tmp_path / "foreign"
    run.haproxy.mkdir(parents=True)
    foreign.write_text("somebody's")
    run.haproxy_cfg.symlink_to(foreign)
    os.mkfifo(run.haproxy / "a.map")
    wanted = Wanted(Target("global\n", {}, files={"a.map": "/a a\n"}), token="ab12")
    world = HostWorld(bundle_spec(), run, FakePrograms(), binary="/usr/sbin/haproxy")
    names = world.restore(wanted)

    assert set(names) == {"haproxy.cfg", "services.cfg", "a.map"}
    assert foreign.read_text() == "somebody's"
    assert stat.S_ISREG(run.haproxy_cfg.lstat().st_mode)
    assert world.restore(wanted) == ()


def test_a_full_disk_leaves_no_half_of_a_file_and_is_told_with_its_name(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    run.haproxy.mkdir(parents=True)
    world = HostWorld(bundle_spec(), run, FakePrograms(), binary="/usr/sbin/haproxy")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"haproxy\.cfg"):
            world.restore(Wanted(Target("# a comment\n" * 1000, {})))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert list(run.haproxy.iterdir()) == []
