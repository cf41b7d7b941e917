"""The files are the only record: what was written is what is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.follow.compiled import base_of
from lbctl.follow.generation import Generation, OperatorSource
from lbctl.follow.takes import what_it_takes
from lbctl.follow.texts import texts_of, wanted_of, without_token
from lbctl.follow.world import Wanted
from lbctl.haproxy.abilities import Abilities
from lbctl.layout import RunDir
from lbctl.model.target import Target, TargetBackend, TargetServer
from lbctl.settings.model import Settings
from tests.fakes.world import service
from tests.specs import bundle_spec

HELLO = TargetBackend("hello", "backend hello\n", "", (TargetServer("a", 1, "10.0.0.1:80"),))
TARGET = Target(
    "global\n    use routes-1.map\n", {"hello": HELLO}, files={"routes-1.map": "/ hello\n"}
)
ADDED = {"proc-01.cfg": "listen x\n", "threads.cfg": "global\n"}
GENERATED = Wanted(TARGET, ADDED, token="0a")
BESIDE = Wanted(
    replace(TARGET, before="defaults\n"),
    {**ADDED, "haproxy.cfg": "frontend web\n    use routes-1.map\n"},
    is_beside=True,
    token="0b",
)
EMPTY = Wanted(Target("defaults\n", {}), {"haproxy.cfg": "frontend web\n"}, is_beside=True)


@pytest.mark.parametrize("wanted", [GENERATED, BESIDE, EMPTY, replace(BESIDE, token="")])
def test_what_was_written_is_read(wanted: Wanted) -> None:
    assert wanted_of(texts_of(wanted)) == wanted


@pytest.mark.parametrize("wanted", [GENERATED, BESIDE])
def test_only_what_differs_is_written(wanted: Wanted) -> None:
    moved = replace(HELLO, servers=(TargetServer("a", 1, "10.0.0.2:80"),))
    other = replace(wanted, target=replace(wanted.target, backends={"hello": moved}))
    place = "services.cfg" if wanted.is_beside else "haproxy.cfg"

    assert texts_of(wanted, skip=wanted) == {}
    assert list(texts_of(other, skip=wanted)) == [place]
    assert wanted_of({**texts_of(wanted), **texts_of(other, skip=wanted)}) == other


@pytest.mark.parametrize("one", [GENERATED, BESIDE])
@pytest.mark.parametrize("other", [GENERATED, BESIDE, EMPTY])
def test_one_form_can_follow_the_other(one: Wanted, other: Wanted) -> None:
    gone = one.more.keys() - other.more.keys()
    left = {name: text for name, text in texts_of(one).items() if name not in gone}
    read = wanted_of({**left, **texts_of(other, skip=one)})

    assert (read.is_beside, read.token) == (other.is_beside, other.token)
    assert (read.target.before, read.target.backends) == (
        other.target.before,
        other.target.backends,
    )


def test_a_map_that_no_text_names_any_more_is_not_read() -> None:
    assert wanted_of({**texts_of(GENERATED), "routes-0.map": "old\n"}) == GENERATED


def test_a_token_is_not_part_of_what_was_rendered() -> None:
    assert "LBCTL" not in without_token(texts_of(GENERATED)["services.cfg"])


def test_what_it_takes_is_told_in_words() -> None:
    able = Abilities(True, True, "3.0.0")
    before = texts_of(GENERATED)
    moved = replace(HELLO, servers=(TargetServer("a", 1, "10.0.0.2:80"),))
    changed = replace(GENERATED, target=replace(TARGET, backends={"hello": moved}))
    added = replace(GENERATED, more={**ADDED, "proc-01.cfg": "listen y\n"})

    assert "nothing" in what_it_takes(before, before, able)[0]
    assert "no reload" in what_it_takes(before, texts_of(changed), able)[0]
    assert "a reload" in what_it_takes(before, texts_of(added), able)[0]
    assert "a start" in what_it_takes({}, before, able)[0]


@pytest.mark.parametrize("cfg", ["frontend web\n", "frontend web\n    use routes.map\n"])
def test_beside_an_own_haproxy_cfg_what_was_compiled_is_what_is_read(cfg: str) -> None:
    source = OperatorSource("cfg", "/haproxy/haproxy.cfg", {"haproxy.cfg": cfg})
    generation = Generation(1, 0.0, Settings(), source, {}, dict(ADDED), {})
    base = base_of(generation, bundle_spec(), RunDir(Path("/run/lbctl")))
    wanted = base.compile([service("hello", "10.0.0.1:80")]).wanted

    assert wanted_of(texts_of(wanted)) == wanted
