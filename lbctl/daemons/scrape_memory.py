"""
What the scrape before has seen of each process, kept in the run dir for the next one.

Owns that file. One that cannot be read, or that another bundle wrote, is as none: counters then
begin anew, as they do with the bundle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.process_facts import format_facts
from lbctl.haproxy.promex import KEY
from lbctl.haproxy.promex_carry import continued, counters_of
from lbctl.haproxy.promex_read import Sight, read_sight
from lbctl.haproxy.table import Table

_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Known:
    """
    One process.

    Attributes:
        life: see :attr:`lbctl.haproxy.promex_read.Sight.life`.
        answer: what it said last, as it said it.
        before: what its earlier lives had counted, in the same words; empty: there were none.
    """

    life: str
    answer: bytes
    before: bytes = b""

    def counted(self) -> Sight:
        """
        All that it had counted, when it was last seen.

        Raises:
            RuntimeApiError: there is no sense in it.
        """
        last = counters_of(read_sight(self.answer))
        return continued(last, read_sight(self.before)) if self.before else last


def followed(known: Known | None, answer: bytes, sight: Sight) -> tuple[Sight, Known]:
    """
    *sight*, which *answer* says, with what earlier lives had counted; and what is to be kept.

    A life that was not seen to its end has counted on unseen: that is lost, as it is for HAProxy's
    own exporter.
    """
    if known is None:
        return sight, Known(sight.life, answer)
    try:
        if known.life == sight.life:
            before = known.before
        else:
            before = written(_kept(known.counted(), sight))
        return (continued(sight, read_sight(before)) if before else sight), Known(
            sight.life, answer, before
        )
    except RuntimeApiError:
        return sight, Known(sight.life, answer)


def _kept(counted: Sight, now: Sight) -> Sight:
    """Without what is gone: a server that comes back begins anew."""
    tables = {}
    for kind, table in counted.tables.items():
        there = {*now.tables[kind].cells(*KEY)} if kind in now.tables else set()
        keys = table.cells(*KEY)
        rows = (row for key, row in zip(keys, table.rows, strict=True) if key in there)
        tables[kind] = Table(table.columns, tuple(rows))
    return Sight(counted.facts, tables)


def written(sight: Sight) -> bytes:
    """In HAProxy's words, as :func:`lbctl.haproxy.promex_read.read_sight` reads them."""
    tables = sight.tables.values()
    columns = tuple(dict.fromkeys((*KEY, *(name for one in tables for name in one.columns))))
    rows = tuple(row for one in tables for row in one.arranged(columns).rows)
    facts = format_facts({"Name": "HAProxy", **sight.facts})
    return f"{facts}\n{Table(columns, rows).to_csv()}\n".encode()


def remember(path: Path, since: float, known: Mapping[int, Known]) -> None:
    """
    Args:
        since: when the bundle was started.
        known: by number of the process.

    Raises:
        OSError: it cannot be written; the file stays as it was.
    """
    head = [
        {"number": number, "life": one.life, "answer": len(one.answer), "before": len(one.before)}
        for number, one in known.items()
    ]
    # Of one name: one who is ended while he writes leaves one file behind, and not each of them.
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as out:
            out.write(json.dumps({"since": since, "processes": head}).encode() + b"\n")
            for one in known.values():
                out.write(one.answer)
                out.write(one.before)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def recall(path: Path, since: float) -> dict[int, Known]:
    """What was remembered since the bundle was started *since*; empty: nothing."""
    found: dict[int, Known] = {}
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            if head["since"] != since:
                return {}
            for one in head["processes"]:
                answer, before = file.read(int(one["answer"])), file.read(int(one["before"]))
                found[int(one["number"])] = Known(str(one["life"]), answer, before)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found
