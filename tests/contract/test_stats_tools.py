"""
Two real HAProxy processes on one port, with traffic, read as if they were one.

By ``lbctl stats``, and through its CSV by tools that know one process only: haproxyadmin, hatop.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import threading
import types
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.server import ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from lbctl.cli.main import main
from lbctl.haproxy.process_facts import format_facts, merge_facts
from lbctl.haproxy.readings import read_all
from lbctl.haproxy.stats import merge
from lbctl.haproxy.table import Table
from lbctl.layout import RunDir
from tests.fakes.haproxy_runtime import runtime_server
from tests.two_processes import (
    REQUESTS,
    SHARED,
    Bundle,
    Hello,
    free_port,
    process_of,
    rows_of,
    s2_is_down,
    spec_of,
    start_process,
    total,
    wait_until,
)

pytestmark = pytest.mark.contract

HATOP = Path("/usr/bin/hatop")


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory(prefix="lbctl-st-")))
        origin = ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        stack.callback(origin.server_close)
        threading.Thread(target=origin.serve_forever, args=(0.02,), daemon=True).start()
        stack.callback(origin.shutdown)
        port = free_port()
        shared = root / "haproxy.cfg"
        shared.write_text(SHARED.format(port=port, origin=origin.server_port, nobody=free_port()))
        processes = (process_of(root, 1), process_of(root, 2))
        pids = tuple(start_process(stack, root, shared, process) for process in processes)
        spec = spec_of(processes)
        RunDir(root).spec.write_text(spec.to_json())
        wait_until(lambda: s2_is_down(processes), "s2 is found to be down")
        for _ in range(REQUESTS):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as client:
                client.request("GET", "/")
                assert client.getresponse().read() == b"hello"
        wait_until(lambda: total(processes, "hello", "hrsp_2xx") == REQUESTS, "all are counted")
        yield Bundle(root, spec, pids, asyncio.run(read_all(processes)))


def _printed_csv(bundle: Bundle, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert main(["stats", "--csv", "--run-dir", str(bundle.run_dir), *flags]) == 0
    return capsys.readouterr().out


def test_both_processes_served(bundle: Bundle) -> None:
    shares = [int(row["stot"]) for row in rows_of(bundle.spec.processes, "hello", "BACKEND")]

    assert min(shares) > 0
    assert sum(shares) == REQUESTS
    assert tuple(int(reading.facts["Pid"]) for reading in bundle.readings) == bundle.pids


@pytest.mark.parametrize("column", ["stot", "bin", "bout", "hrsp_2xx", "req_tot", "conn_tot"])
def test_merged_counters_are_the_sum_of_both(bundle: Bundle, column: str) -> None:
    parts = [int(row.get(column) or 0) for t in bundle.tables for row in t.records()]
    whole = [int(row.get(column) or 0) for row in merge(bundle.tables).records()]

    assert sum(whole) == sum(parts)


def test_merged_rows_say_what_one_process_would(bundle: Bundle) -> None:
    rows = {(row["pxname"], row["svname"]): row for row in merge(bundle.tables).records()}

    assert rows["web", "FRONTEND"]["hrsp_2xx"] == str(REQUESTS)
    assert rows["hello", "s1"]["slim"] == "100"
    assert rows["hello", "s1"]["weight"] == "1"
    assert rows["hello", "s1"]["status"] == "no check"
    assert rows["hello", "s2"]["status"] == "DOWN"
    assert rows["hello", "s2"]["chkdown"] == "1"
    assert rows["hello", "BACKEND"]["act"] == "1"
    assert {"lbctl-stats-01", "lbctl-stats-02"} <= {proxy for proxy, _ in rows}


@pytest.fixture
def as_one_process(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[Path, Table]]:
    """A socket that answers ``show stat`` with what ``lbctl stats --csv`` prints."""
    text = _printed_csv(bundle, capsys)
    whole = Table.parse(text)
    facts = format_facts(merge_facts([reading.facts for reading in bundle.readings]))

    def answer(command: str) -> str:
        if command == "show info":
            return facts
        picked = re.fullmatch(r"show stat(?: (-?\d+) (-?\d+) (-?\d+))?", command)
        return _picked(whole, picked.groups()) if picked else ""

    with runtime_server(bundle.run_dir / "merged.sock", answer) as path:
        yield path, whole


def _picked(table: Table, asked: tuple[str | None, ...]) -> str:
    """``show stat IID TYPE SID``, as HAProxy picks."""
    iid, kinds, sid = (int(value or -1) for value in asked)
    picked = [
        row
        for row, cells in zip(table.rows, table.cells("iid", "type", "sid"), strict=True)
        if iid in {-1, int(cells[0])}
        and (kinds == -1 or kinds & (1 << int(cells[1])))
        and sid in {-1, int(cells[2])}
    ]
    return replace(table, rows=tuple(picked)).to_csv()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_haproxyadmin_reads_the_merged_csv(as_one_process: tuple[Path, Table]) -> None:
    path, _ = as_one_process
    reader = import_module("haproxyadmin.haproxy").HAProxy(socket_file=str(path), retry=None)

    assert {proxy.name for proxy in reader.frontends()} == {
        "web",
        "lbctl-stats-01",
        "lbctl-stats-02",
    }
    assert reader.frontend("web").requests == REQUESTS
    backend = reader.backend("hello")
    assert backend.requests == REQUESTS
    assert backend.status == "UP"
    assert {server.name: server.status for server in backend.servers()} == {
        "s1": "no check",
        "s2": "DOWN",
    }
    assert backend.server("s1").metric("stot") == REQUESTS
    assert reader.metric("Maxconn") > 0
    assert reader.nodename


def _hatop() -> dict[str, Any]:
    """Its functions; what is under ``if __name__ ...`` does not run."""
    module = types.ModuleType("hatop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(compile(HATOP.read_text(), str(HATOP), "exec"), module.__dict__)
    return vars(module)


def test_hatop_reads_the_merged_csv(as_one_process: tuple[Path, Table]) -> None:
    path, whole = as_one_process
    hatop = _hatop()
    link = hatop["Socket"](str(path))
    link.connect()
    data = hatop["SocketData"](link)
    try:
        data.update_info()
        data.update_stat()
    finally:
        link.close()

    assert data.info["nproc"] == "2"
    assert data.svcount == len(whole.rows)
    rows = {
        (row["pxname"], row["svname"]): row
        for proxy in data.stat.values()
        for row in proxy.values()
    }
    assert len(rows) == len(whole.rows), "none hides another behind its iid and sid"
    assert rows["web", "FRONTEND"]["hrsp_2xx"] == REQUESTS
    assert rows["hello", "s1"]["stot"] == REQUESTS
    assert rows["hello", "s2"]["status"] == "DOWN"


def test_csv_has_haproxys_own_header(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    header = _printed_csv(bundle, capsys).splitlines()[0]

    assert header.startswith("# pxname,svname,qcur,qmax,scur,")
    assert header == bundle.tables[0].to_csv().splitlines()[0]


def test_per_process_csv_says_whose_row_it_is(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Table.parse(_printed_csv(bundle, capsys, "--per-process"))

    webs = [row["pid"] for row in table.records() if row["pxname"] == "web"]
    assert webs == ["1", "2"]


def test_json_has_numbers_and_all_processes(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", "--json", "--run-dir", str(bundle.run_dir)]) == 0
    read = json.loads(capsys.readouterr().out)

    assert tuple(process["pid"] for process in read["processes"]) == bundle.pids
    (web,) = [row for row in read["stats"] if row["pxname"] == "web"]
    assert web["hrsp_2xx"] == REQUESTS
    assert read["info"]["Nbproc"] == "2"


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_page(
    bundle: Bundle,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    assert main(["stats", "--run-dir", str(bundle.run_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].endswith("2 processes")
    assert any(re.match(r"hello +s2 +DOWN +0/0 +0 .* L4CON", line) for line in lines)


def test_where_processes_disagree_the_table_says_how_many(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    first = bundle.spec.processes[0].socket
    _tell(first, "set server hello/s1 state maint")
    try:
        assert main(["stats", "--run-dir", str(bundle.run_dir)]) == 0
        text = capsys.readouterr().out
        assert main(["stats", "--json", "--run-dir", str(bundle.run_dir)]) == 0
        read = json.loads(capsys.readouterr().out)
    finally:
        _tell(first, "set server hello/s1 state ready")

    assert "MAINT (1 of 2)" in text
    (s1,) = [row for row in read["stats"] if row["svname"] == "s1"]
    assert s1["status_by_process"] == {"1": "MAINT", "2": "no check"}


def _tell(path: str, command: str) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as link:
        link.connect(path)
        link.sendall(f"{command}\n".encode())
        assert link.recv(100) == b"\n"


def _bundle_with_sockets(bundle: Bundle, root: Path, *sockets: str) -> None:
    processes = tuple(
        replace(process, socket=path)
        for process, path in zip(bundle.spec.processes, sockets, strict=True)
    )
    RunDir(root).spec.write_text(replace(bundle.spec, processes=processes).to_json())


@pytest.mark.parametrize("form", [[], ["--csv"], ["--json"], ["--per-process"]])
def test_a_process_that_does_not_answer_is_named_and_the_rest_shown(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    _bundle_with_sockets(bundle, tmp_path, bundle.spec.processes[0].socket, "/nowhere/02.sock")

    assert main(["stats", *form, "--run-dir", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "process 02 (haproxy-02): /nowhere/02.sock: 'show info': No such file" in said.err
    assert "s1" in said.out


def test_none_that_answers_is_exit_14(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _bundle_with_sockets(bundle, tmp_path, "/nowhere/01.sock", "/nowhere/02.sock")

    assert main(["stats", "--run-dir", str(tmp_path)]) == 14
    assert "none of 2 HAProxy processes answered" in capsys.readouterr().err


def test_two_forms_at_once_are_refused(bundle: Bundle) -> None:
    assert main(["stats", "--json", "--csv", "--run-dir", str(bundle.run_dir)]) == 11
