"""
The main of ``discovery``: asks the sources of services, keeps the registry, and tells the agent.

It reads what it is to do once, at its start: the agent starts it anew when that has changed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from lbctl.bundle.saying import speak
from lbctl.daemons.discovery_http import Desk, build, serve
from lbctl.discovery.hub import Hub
from lbctl.discovery.open import Unusable, open_sources
from lbctl.errors import EXIT_OK, EXIT_UNEXPECTED, ConfigError, LbctlError, ProviderError
from lbctl.follow.generation import Generation, read_generation
from lbctl.layout import RunDir, StateDir
from lbctl.registry.open import open_registry
from lbctl.registry.registry import Registry
from lbctl.spec import read_spec

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0
#: From SIGTERM to the end, at most.
END_S = 1.0


def main() -> NoReturn:
    """``python -m lbctl.daemons.discovery RUN_DIR``."""
    run = RunDir(Path(sys.argv[1]))
    speak(run.spec)
    try:
        state = StateDir(Path(read_spec(run.spec).state_dir))
        asyncio.run(_live(read_generation(run), run, state))
    except (LbctlError, OSError) as error:
        log.error("%s; discovery starts again", error)
        time.sleep(RESTART_PAUSE_S)
        sys.exit(EXIT_UNEXPECTED)
    sys.exit(EXIT_OK)


async def _live(generation: Generation, run: RunDir, state: StateDir) -> None:
    providers = open_sources(generation.settings, generation.secrets)
    hub = Hub(providers, state, empty_s=generation.settings.discovery.empty_s)
    desk = Desk(hub, lambda: _registry(generation, state))
    if generation.settings.registry.store != "sqlite" or state.registry.exists():
        try:
            desk.open_registry()
        except (ConfigError, ProviderError) as error:
            hub.add(Unusable("registry", generation.settings.registry.store, str(error)))
    names = ", ".join(f"{one.source} {one.target}" for one in hub.states())
    log.info("asking %s", names or "nobody yet")
    life = asyncio.ensure_future(hub.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stop, hub, life)
    runner = await serve(build(desk), run.discovery_socket)
    try:
        await life
    except asyncio.CancelledError:
        log.info("told to stop")
    finally:
        await runner.cleanup()
    # A thread may still wait for a nameserver: nobody waits for it.
    sys.stderr.flush()
    os._exit(EXIT_OK)


def _stop(hub: Hub, life: asyncio.Future[None]) -> None:
    """What matters first; whatever then still hangs in a source is not waited for."""
    hub.save()
    life.cancel()
    asyncio.get_running_loop().call_later(END_S, os._exit, EXIT_OK)


def _registry(generation: Generation, state: StateDir) -> Registry:
    return open_registry(generation.settings, generation.secrets, state)


if __name__ == "__main__":
    main()
