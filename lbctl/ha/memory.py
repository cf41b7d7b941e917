"""
What the native engine must not forget over a restart: ``carp.json`` in the state dir.

Its own counters, so that none is used twice; its peers', so that what was captured before is not
believed after; and with which advskew it spoke last, as long as the same bundle runs. A file that
cannot be read or written never ends anything: then the wall clock alone keeps counters apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lbctl.ha.counter import MARGIN_TICKS, TICK_S, ticks_at
from lbctl.ha.keepsake import Keepsake

SAVE_EVERY_S = 60.0
_TEN_YEARS_TICKS = round(3_653 * 86_400 / TICK_S)

Remember = Callable[[], Mapping[str, Any]]


class Memory:
    """
    Of all groups.

    Args:
        path: the file.
        wall_s: wall clock now, seconds.
    """

    def __init__(self, path: Path, wall_s: float) -> None:
        self._file = Keepsake(path, "a restarted vipd goes by the wall clock alone")
        self._horizon = ticks_at(wall_s) + _TEN_YEARS_TICKS
        self._groups: dict[str, Mapping[str, Any]] = self._file.read(_groups_in, {})
        self._asked: dict[str, Remember] = {}

    @property
    def trouble(self) -> str:
        """Why nothing is remembered, and what that means; empty: it is."""
        return self._file.trouble

    def position(self, vhid: int) -> int:
        """The highest time that an earlier life may have used; 0: none is known."""
        saved = self._of(vhid)
        position = saved.get("position")
        if not isinstance(position, int) or not 0 < position < self._horizon:
            return 0
        return position if saved.get("is_last") is True else position + MARGIN_TICKS

    def sources(self, vhid: int) -> Mapping[str, Any]:
        """What was known of other speakers, for :meth:`lbctl.ha.replay.Sources.remember`."""
        saved = self._of(vhid).get("sources")
        return saved if isinstance(saved, dict) else {}

    def advskew(self, vhid: int, started_at: float, default: int) -> int:
        """With which advskew this node spoke last, if that was in this bundle's life."""
        saved = self._of(vhid)
        advskew = saved.get("advskew")
        is_ours = saved.get("started_at") == started_at
        return advskew if is_ours and isinstance(advskew, int) and 0 <= advskew < 256 else default

    def ask(self, vhid: int, remember: Remember) -> None:
        """Save what *remember* says of a group."""
        self._asked[str(vhid)] = remember

    def text(self, *, is_last: bool = False) -> str:
        """What is to be saved now; *is_last*: nothing comes after it."""
        for vhid, remember in self._asked.items():
            self._groups[vhid] = {**remember(), "is_last": is_last}
        return json.dumps({"groups": self._groups}) + "\n"

    def write(self, text: str) -> None:
        """Save it; may wait for the disk."""
        self._file.write(text)

    def _of(self, vhid: int) -> Mapping[str, Any]:
        return self._groups.get(str(vhid), {})


def _groups_in(saved: Any) -> dict[str, Mapping[str, Any]]:
    return {vhid: group for vhid, group in saved["groups"].items() if isinstance(group, dict)}
