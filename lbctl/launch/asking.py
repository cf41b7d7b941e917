"""Every source of services asked once, without a bundle: what ``lbctl render --once`` shows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from lbctl.discovery.base import Provider
from lbctl.discovery.open import open_sources
from lbctl.errors import ProviderError
from lbctl.launch.known import saved
from lbctl.layout import StateDir
from lbctl.model.service import Snapshot
from lbctl.settings.model import Settings


async def asked(
    settings: Settings, secrets: Mapping[str, bytes], state: StateDir
) -> list[Snapshot]:
    """
    What they say now, and what the registry was told last.

    Raises:
        ProviderError: one does not answer, or several, each with its words.
    """
    providers = open_sources(settings, secrets)
    found = await _fetched(providers)
    names = {one.name for one in providers}
    return [*found, *(one for one in saved(settings, state) if one.source not in names)]


async def _fetched(providers: Sequence[Provider]) -> list[Snapshot]:
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
