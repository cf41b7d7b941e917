"""
A payload into a store, beside others who write the same table: nobody's word is lost.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

from lbctl.errors import Problem, ProviderError
from lbctl.registry.book import NO_TABLE, Applied, Table, applied, count
from lbctl.registry.payload import Payload
from lbctl.registry.reading import HTTP_TOO_LARGE, WHOLE, PayloadError
from lbctl.registry.store import Store

#: Of one table, all payloads together.
TABLE_MAX: Final = 50_000
#: How often a payload is laid over what others have just written.
TRIES: Final = 50
#: Before the second time at most so long, seconds; a little more each time.
_WAIT_S: Final = 0.01


async def keep(
    store: Store,
    payload: Payload,
    draw: Callable[[], float] = random.random,
    *,
    lost: Table = NO_TABLE,
    at: float | None = None,
) -> Applied:
    """
    Lay *payload* over its table as it is now, and store that.

    Args:
        draw: from 0 to 1.
        lost: what the table was, where the store has none: it has lost its data.
        at: now, seconds since the epoch.

    Returns:
        The table as it was written; it is there to stay.

    Raises:
        PayloadError: the table would be too large; nothing was changed.
        ProviderError: the store could not be asked, or others write without end.
    """
    for attempt in range(TRIES):
        before = await store.read(payload.table)
        known = before.table if before.version else lost
        found = applied(known, payload, time.time() if at is None else at)
        if (containers := count(found.table)) > TABLE_MAX:
            what = f"table {payload.table} would have {containers} containers"
            problem = Problem(WHOLE, f"{what}; at most {TABLE_MAX} are kept")
            raise PayloadError([problem], HTTP_TOO_LARGE)
        if found.table == before.table:
            # What is there is not written again: most payloads of a sender that follows.
            return Applied(before.table, found.ignored)
        if await store.write(payload.table, found.table, before.version):
            return found
        await asyncio.sleep(draw() * _WAIT_S * (attempt + 1))
    message = (
        f"{store.target}: table {payload.table}: others wrote it {TRIES} times while this was to "
        "be written; nothing was changed: send it again"
    )
    raise ProviderError(message)
