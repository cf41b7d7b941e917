"""
``lbctl stats``: what all HAProxy processes count, as if they were one.

Asks, chooses the form and prints; how values merge is :mod:`lbctl.haproxy.stats`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from lbctl.cli.options import (
    CONFIG_DIR,
    RUN_DIR,
    STATE_DIR,
    ConfigDirOption,
    RunDirOption,
    StateDirOption,
)
from lbctl.cli.stats_view import print_table
from lbctl.errors import RuntimeApiError, UsageError
from lbctl.haproxy.columns import is_number
from lbctl.haproxy.process_facts import merge_facts
from lbctl.haproxy.readings import Reading, read_all
from lbctl.haproxy.stats import disagreements, merge, numbered
from lbctl.haproxy.table import Table
from lbctl.layout import RunDir
from lbctl.spec import read_spec


def stats(
    json_output: Annotated[
        bool, typer.Option("--json", help="For programs: everything, by HAProxy's own names.")
    ] = False,
    csv_output: Annotated[
        bool, typer.Option("--csv", help="HAProxy's own CSV, for tools that read it.")
    ] = False,
    per_process: Annotated[
        bool, typer.Option("--per-process", help="Each process by itself, not merged.")
    ] = False,
    config_dir: ConfigDirOption = CONFIG_DIR,
    run_dir: RunDirOption = RUN_DIR,
    state_dir: StateDirOption = STATE_DIR,
) -> None:
    """Statistics of all HAProxy processes, merged."""
    if json_output and csv_output:
        message = "--json and --csv: one of them at a time; nothing was asked"
        raise UsageError(message)
    spec = read_spec(RunDir(run_dir).spec)
    readings = asyncio.run(read_all(spec.processes))
    answers = [reading for reading in readings if not reading.failure]
    for reading in readings:
        if reading.failure:
            print(f"{_name(reading)}: {reading.failure}", file=sys.stderr)
    if not answers:
        message = f"{run_dir}: none of {len(readings)} HAProxy processes answered"
        raise RuntimeApiError(message)
    if json_output:
        _print_json(readings, per_process=per_process)
    elif csv_output:
        _print_csv(answers, per_process=per_process)
    else:
        _print_tables(answers, per_process=per_process)


def _name(reading: Reading) -> str:
    return f"process {reading.process.number:02d} ({reading.process.program})"


def _print_csv(answers: Sequence[Reading], *, per_process: bool) -> None:
    """With all processes apart there is one header, and ``pid`` is the process's number."""
    tables = [reading.table for reading in answers]
    if not per_process:
        print(merge(tables).to_csv(), end="")
        return
    columns = merge(tables).columns
    rows = [
        row
        for reading in answers
        for row in numbered(reading.table.arranged(columns), reading.process.number).rows
    ]
    print(Table(columns, tuple(rows)).to_csv(), end="")


def _print_tables(answers: Sequence[Reading], *, per_process: bool) -> None:
    if per_process:
        for reading in answers:
            print_table(reading.table, _name(reading), {})
        return
    tables = [reading.table for reading in answers]
    facts = merge_facts([reading.facts for reading in answers])
    version = f"HAProxy {facts.get('Version', '')}"
    print_table(merge(tables), f"{version}, {len(answers)} processes", disagreements(tables))


def _print_json(readings: Sequence[Reading], *, per_process: bool) -> None:
    answers = [reading for reading in readings if not reading.failure]
    processes = [_process_as_json(reading, with_stats=per_process) for reading in readings]
    result: dict[str, Any] = {"processes": processes}
    if not per_process:
        tables = [reading.table for reading in answers]
        differing = disagreements(tables)
        result["info"] = merge_facts([reading.facts for reading in answers])
        result["stats"] = _rows_as_json(merge(tables))
        for row in result["stats"]:
            statuses = differing.get((row["pxname"], row["svname"], str(row.get("type", ""))))
            if statuses:
                numbers = (str(reading.process.number) for reading in answers)
                row["status_by_process"] = dict(zip(numbers, statuses, strict=True))
    json.dump(result, sys.stdout, indent=1)
    print()


def _process_as_json(reading: Reading, *, with_stats: bool) -> dict[str, Any]:
    process = reading.process
    pid = reading.facts.get("Pid", "")
    result: dict[str, Any] = {
        "number": process.number,
        "program": process.program,
        "answers": not reading.failure,
        "failure": reading.failure or None,
        "pid": int(pid) if pid.isdecimal() else None,
    }
    if with_stats and not reading.failure:
        result["info"] = dict(reading.facts)
        result["stats"] = _rows_as_json(reading.table)
    return result


def _rows_as_json(table: Table) -> list[dict[str, Any]]:
    """Numbers as numbers; empty cells, and the column that is only a border, are left out."""
    return [
        {
            name: int(cell) if is_number(name) and cell.lstrip("-").isdecimal() else cell
            for name, cell in record.items()
            if name != "-"
        }
        for record in table.records()
    ]
