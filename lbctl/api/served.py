"""What the API's handlers find in the application that they serve."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from lbctl.agent.agent import Agent

AGENT: Final[web.AppKey[Agent]] = web.AppKey("agent", Agent)
