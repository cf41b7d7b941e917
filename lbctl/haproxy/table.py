"""
HAProxy's statistics as a table of text, read and written exactly as HAProxy writes them.

Owns the CSV of ``show stat``. It must not know what a column means.

Source: HAProxy doc/management.txt, section 9.1, "CSV format".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lbctl.errors import RuntimeApiError


@dataclass(frozen=True, slots=True)
class Table:
    """
    What ``show stat`` answers.

    Attributes:
        columns: names in HAProxy's order, ``pxname`` and ``svname`` first.
        rows: as many cells each as there are columns; an empty cell does not apply to its row.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Table:
        """
        Read the CSV of one process.

        Raises:
            RuntimeApiError: no header, or a row that does not fit it.
        """
        lines = csv.reader(io.StringIO(text, newline=""))
        try:
            header = next(lines, [])
            rows = tuple(tuple(row[:-1]) for row in lines if row)
        except csv.Error as error:
            message = f"show stat: {error}; no statistics from this process"
            raise RuntimeApiError(message) from error
        columns = tuple(header[:-1])
        if columns[:2] != ("# pxname", "svname") or len({*columns}) != len(columns):
            message = f"show stat: {text[:40]!r} is not its header; no statistics from this process"
            raise RuntimeApiError(message)
        misfit = next((row for row in rows if len(row) != len(columns)), None)
        if misfit is not None:
            message = f"show stat: {len(misfit)} cells for {len(columns)} columns: {misfit[:2]}"
            raise RuntimeApiError(message)
        return cls(("pxname", *columns[1:]), rows)

    def to_csv(self) -> str:
        """The text that HAProxy would write, without the blank line that ends it on the socket."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["# pxname", *self.columns[1:], ""])
        writer.writerows([*row, ""] for row in self.rows)
        return out.getvalue()

    def cells(self, *columns: str) -> Iterator[tuple[str, ...]]:
        """Those columns of each row; one that HAProxy does not have is empty."""
        return zip(*(self.column(name) for name in columns), strict=True)

    def column(self, name: str) -> Sequence[str]:
        """One column, top to bottom; empty cells where HAProxy does not have it."""
        try:
            place = self.columns.index(name)
        except ValueError:
            return [""] * len(self.rows)
        return [row[place] for row in self.rows]

    def records(self) -> Iterator[dict[str, str]]:
        """Each row by column name, without its empty cells."""
        for row in self.rows:
            yield {name: cell for name, cell in zip(self.columns, row, strict=True) if cell}

    def arranged(self, columns: Sequence[str]) -> Table:
        """The same rows under other columns; those it does not have are empty."""
        if tuple(columns) == self.columns:
            return self
        return Table(tuple(columns), tuple(self.cells(*columns)))
