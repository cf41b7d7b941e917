"""The current generation is always one whole generation, whoever was killed while writing."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.errors import Problem, UnreachableError
from lbctl.follow.generation import (
    PROBLEMS_MOST,
    Generation,
    OperatorSource,
    locked,
    read_generation,
    read_verdict,
    verdict_of,
    write_generation,
    write_verdict,
)
from lbctl.layout import RunDir
from lbctl.model.service import Cookie, Route, Server, Service
from lbctl.settings.model import Haproxy, Settings

SERVICES = (
    Service(
        name="hello/v1",
        routes=(Route(path="/hello/v1", strip=True, header={"X-A": "b"}), Route(host="*.a.b")),
        cookie=Cookie(name="JSESSIONID"),
        servers=(Server(address="10.0.0.1:80", weight=0, backup=True),),
    ),
)
WHOLE = Generation(
    number=1,
    at=1.5,
    settings=Settings(haproxy=Haproxy(processes=3), services=SERVICES),
    source=OperatorSource("template", "/haproxy/haproxy.cfg.j2", {"haproxy.cfg.j2": "ä\udcff\n"}),
    certs={"a.pem": b"\x00\xff hunter1"},
    haproxy_files={"proc-01.cfg": "password hunter2\n"},
    nginx={"www/index.html": "<html>\n"},
    secrets={"discovery.consul.token_file": b"hunter3\xff"},
)


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    run.inputs.mkdir(mode=0o750)
    return run


def test_what_is_written_is_read_exactly(run: RunDir) -> None:
    write_generation(run, WHOLE)

    assert read_generation(run) == WHOLE
    write_generation(run, replace(WHOLE, number=2, source=None, certs={}))
    assert read_generation(run) == replace(WHOLE, number=2, source=None, certs={})


def test_no_secret_is_shown(run: RunDir) -> None:
    write_generation(run, WHOLE)

    assert "hunter" not in repr(read_generation(run))


def test_the_group_reads_verdicts_and_no_generation(run: RunDir) -> None:
    run.haproxy.mkdir()
    run.inputs_copies.mkdir(mode=0o750)
    with locked(run):
        write_generation(run, WHOLE)
        write_verdict(run, "stage", verdict_of(0.0, number=1))
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in run.inputs.iterdir()}
    copy = run.inputs_copies / "000001.json"

    assert (modes.pop("current"), modes.pop("copies")) == (0o777, 0o750)  # the first is a link
    assert modes == {"000001.json": 0o600, "verdict-stage.json": 0o640, "lock": 0o600}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400
    assert copy.read_bytes() == run.generation(1).read_bytes()


def test_copies_go_with_their_generations(run: RunDir) -> None:
    run.haproxy.mkdir()
    run.inputs_copies.mkdir(mode=0o750)
    for number in range(1, 5):
        write_generation(run, replace(WHOLE, number=number))

    assert {path.name for path in run.inputs_copies.iterdir()} == {"000003.json", "000004.json"}


def half_written(run: RunDir) -> None:
    run.generation(2).write_text('{"number": 2, "certs"')
    (run.inputs / ".000002.json.1234").write_text('{"numb')


def not_linked(run: RunDir) -> None:
    run.generation(2).write_bytes(run.generation(1).read_bytes())
    (run.inputs / ".current.1234").symlink_to("000002.json")


@pytest.mark.parametrize("killed", [half_written, not_linked])
def test_a_writer_that_was_killed_leaves_the_one_before(
    run: RunDir, killed: Callable[[RunDir], None]
) -> None:
    write_generation(run, WHOLE)
    killed(run)

    assert read_generation(run) == WHOLE
    write_generation(run, replace(WHOLE, number=2))
    assert read_generation(run).number == 2
    names = {path.name for path in run.inputs.iterdir()}
    assert names == {"current", "000001.json", "000002.json"}


def test_two_generations_are_kept(run: RunDir) -> None:
    for number in range(1, 12):
        write_generation(run, replace(WHOLE, number=number))
    names = {path.name for path in run.inputs.iterdir()}

    assert names == {"current", "000010.json", "000011.json"}


def test_a_reader_beside_a_writer_sees_whole_ones_in_order(run: RunDir) -> None:
    last = 150
    write_generation(run, WHOLE)

    def write() -> None:
        for number in range(2, last + 1):
            text = {"number": str(number)}
            write_generation(run, replace(WHOLE, number=number, nginx=text, haproxy_files=text))

    writer = threading.Thread(target=write)
    writer.start()
    seen = [read_generation(run)]
    while seen[-1].number < last:
        seen.append(read_generation(run))
    writer.join()
    numbers = [one.number for one in seen]

    assert numbers == sorted(numbers)
    assert all(one.nginx == one.haproxy_files for one in seen if one.number > 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"number": 1}', '{"number": 1, "certs": 3}'])
def test_what_another_version_wrote_is_told(run: RunDir, text: str) -> None:
    run.generation(1).write_text(text)
    run.current_generation.symlink_to("000001.json")

    with pytest.raises(UnreachableError, match="another version"):
        read_generation(run)


def test_without_a_bundle_there_is_none(run: RunDir) -> None:
    with pytest.raises(UnreachableError, match="current"):
        read_generation(run)
    with pytest.raises(UnreachableError, match="stage has not said anything"):
        read_verdict(run, "stage")


def test_a_verdict_is_read_as_it_was_written_each_tasks_own(run: RunDir) -> None:
    refused = verdict_of(0.0, code=13, problems=(Problem("haproxy.cfg:3", "no"),))
    fine = verdict_of(0.0, number=4, warnings=("w",), restart=("ha.advskew",))
    write_verdict(run, "stage", refused)
    write_verdict(run, "certs", fine)

    assert read_verdict(run, "stage") == refused
    assert read_verdict(run, "certs") == fine


def test_a_thousand_problems_are_told_by_the_first_of_them() -> None:
    problems = tuple(Problem("lb.yaml", f"wrong {n}") for n in range(1000))
    verdict = verdict_of(0.0, problems=problems)

    assert verdict.problems[:PROBLEMS_MOST] == problems[:PROBLEMS_MOST]
    assert [one.what for one in verdict.problems[PROBLEMS_MOST:]] == ["950 problems more"]
