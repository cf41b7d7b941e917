"""Programs and HAProxy's processes, as one row each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lbctl.glance.cell import Cell, Tone
from lbctl.glance.durations import duration

Status = Mapping[str, Any]

_TONES: Final[Mapping[str, Tone]] = {
    "RUNNING": "good",
    "STARTING": "warn",
    "STOPPING": "warn",
    "FATAL": "bad",
    "BACKOFF": "bad",
    "EXITED": "bad",
}


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """
    One supervised program.

    Attributes:
        up_s: since its process started; None: none runs.
        restarts: without having been asked for; None: not known.
    """

    name: str
    state: Cell
    pid: int
    up_s: float | None
    restarts: int | None

    @property
    def is_well(self) -> bool:
        return self.state.tone == "good"


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One HAProxy process, and whether it answers."""

    number: int
    cpu: str
    listens: str
    answers: Cell

    @property
    def is_well(self) -> bool:
        return self.answers.tone == "good"


def programs(status: Status) -> tuple[ProgramRow, ...]:
    """In the order of the status."""
    return tuple(
        ProgramRow(
            str(one["name"]),
            Cell(str(one["state"]), _TONES.get(str(one["state"]), "plain")),
            int(one["pid"] or 0),
            one.get("uptime_s"),
            one.get("restarts"),
        )
        for one in status.get("programs") or ()
    )


def processes(status: Status) -> tuple[ProcessRow, ...]:
    """In the order of the status."""
    return tuple(
        ProcessRow(
            int(one["number"]),
            "any" if one["cpu"] is None else str(one["cpu"]),
            str(one["stats"]),
            Cell("yes", "good") if one["answers"] else Cell(_silence(one), "bad"),
        )
        for one in (status.get("haproxy") or {}).get("processes") or ()
    )


def _silence(process: Mapping[str, Any]) -> str:
    last = process.get("last_answer_s_ago")
    return "never answered" if last is None else f"silent for {duration(last)}"
