"""The agent's main: reads the spec, opens its socket, and lets :class:`Agent` live."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from pathlib import Path

from aiohttp import web

from lbctl.agent.agent import Agent
from lbctl.agent.eventlog import EventLog
from lbctl.agent.told import tell_forever
from lbctl.api.server import build, serve
from lbctl.api.tcp import serve_tcp
from lbctl.bundle.events import listen_stdio
from lbctl.bundle.rpc import SupervisorClient
from lbctl.bundle.saying import speak
from lbctl.errors import EXIT_OK, EXIT_UNEXPECTED, LbctlError
from lbctl.layout import RunDir, StateDir
from lbctl.spec import BundleSpec, read_spec

log = logging.getLogger(__name__)

RESTART_PAUSE_S = 1.0


def main() -> int:
    """``python -m lbctl.daemons.agent RUN_DIR``, an event listener of supervisord."""
    run = RunDir(Path(sys.argv[1]))
    speak(run.spec)
    try:
        asyncio.run(_live(read_spec(run.spec), run))
    except LbctlError as error:
        log.error("%s", error)
        # supervisord has no back-off for an event listener: it counts as running at once.
        time.sleep(RESTART_PAUSE_S)
        return EXIT_UNEXPECTED
    return EXIT_OK


async def _live(spec: BundleSpec, run: RunDir) -> None:
    state = StateDir(Path(spec.state_dir))
    events = EventLog(state.events, spec.node, history=state.history)
    programs = SupervisorClient(run.supervisor_socket)
    agent = Agent(spec, run, programs, events)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, agent.inputs.on_hangup)
    runner = await serve(build(agent), run.api_socket)
    life = asyncio.ensure_future(_work(agent, programs, runner))
    loop.add_signal_handler(signal.SIGTERM, life.cancel)
    try:
        await life
    except asyncio.CancelledError:
        log.info("told to stop")
    finally:
        await runner.cleanup()


async def _work(agent: Agent, manager: SupervisorClient, runner: web.AppRunner) -> None:
    async with asyncio.TaskGroup() as group:
        telling = group.create_task(tell_forever(agent, manager))
        listening = group.create_task(serve_tcp(runner, agent))
        await agent.live(listen_stdio())
        telling.cancel()
        listening.cancel()


if __name__ == "__main__":
    sys.exit(main())
