"""Every source of services asked once, without a bundle: what ``lbctl render --once`` shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from lbctl.discovery.base import Provider
from lbctl.discovery.open import open_sources
from lbctl.errors import ProviderError
from lbctl.launch.known import saved
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.model import Settings
from lbctl.settings.sources import sources_of


async def asked(
    settings: Settings, secrets: Mapping[str, bytes], state: StateDir
) -> list[Snapshot]:
    """
    What they say now, and what the registry was told last.

    Raises:
        ProviderError: one does not answer, or several, each with its words.
    """
    found = await _fetched(open_sources(settings, secrets))
    sources = sources_of(settings, has_registry=False)
    return [*found, *(one for one in saved(settings, state) if one.source not in sources)]


async def _fetched(providers: Iterable[Provider]) -> list[Snapshot]:
    providers = tuple(providers)
    try:
        found = await asyncio.gather(*(_said(one) for one in providers))
    finally:
        for one in providers:
            await one.close()
    errors = [one for one in found if isinstance(one, ProviderError)]
    if errors:
        message = "; ".join(map(str, errors))
        raise ProviderError(message)
    return [one for one in found if isinstance(one, Snapshot)]


async def _said(provider: Provider) -> Snapshot | ProviderError:
    try:
        return await provider.fetch()
    except ProviderError as error:
        return error
