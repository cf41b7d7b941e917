"""The bundle's dnsmasq: it reads the hosts file when it is told to."""

from __future__ import annotations

import logging
from typing import Final

from lbctl.errors import SupervisorError
from lbctl.programs import Programs
from lbctl.spec import BundleSpec

log = logging.getLogger(__name__)

PROGRAM: Final = "dnsmasq"


class Nameserver:
    """Tells it; where none runs, nothing."""

    def __init__(self, spec: BundleSpec, programs: Programs) -> None:
        self._is_there = PROGRAM in spec.programs
        self._programs = programs

    async def reread(self) -> None:
        """The file has changed. One that does not run reads it when it starts."""
        if not self._is_there:
            return
        try:
            await self._programs.signal(PROGRAM, "HUP")
        except SupervisorError as error:
            log.warning(
                "%s: not told of new addresses: %s; it answers with the old", PROGRAM, error
            )
