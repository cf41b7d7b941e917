"""Settings into the store that they ask for, and the registry over it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from lbctl.discovery.consul_api import client_of
from lbctl.errors import ConfigError, Problem
from lbctl.layout import StateDir
from lbctl.registry.consul import ConsulCells
from lbctl.registry.registry import Registry
from lbctl.registry.sqlite import SqliteCells
from lbctl.registry.store import Cells, CellStore
from lbctl.settings.model import Settings

_EXTRA = "it needs boto3: pip install 'lbctl[dynamodb]'"


def open_registry(settings: Settings, secrets: Mapping[str, bytes], state: StateDir) -> Registry:
    """
    Nothing is asked yet.

    Args:
        settings: ``registry``, and ``discovery.consul`` where it is in Consul.
        secrets: contents of the files that *settings* name, by dotted key.
        state: with the file of SQLite.

    Raises:
        ConfigError: the store cannot be used as it is configured.
        ProviderError: AWS's own configuration says no region.
    """
    store = CellStore(cells_of(settings, secrets, state))
    return Registry(store, settings.registry, empty_s=settings.discovery.empty_s)


def cells_of(settings: Settings, secrets: Mapping[str, bytes], state: StateDir) -> Cells:
    """
    The database; raises as :func:`open_registry`.
    """
    registry, consul = settings.registry, settings.discovery.consul
    match registry.store:
        case "sqlite":
            return SqliteCells(state.registry)
        case "consul":
            if consul.url is None:
                what = "consul needs discovery.consul.url"
                raise ConfigError([Problem("registry.store", what)])
            client = client_of(consul, secrets)
            return ConsulCells(client, registry.consul_prefix, consul.datacenter)
        case "dynamodb":
            try:
                # A quarter of a second, and tens of megabytes, for those who ask for it.
                module = import_module("lbctl.registry.dynamodb")
            except ImportError as error:
                raise ConfigError([Problem("registry.store = dynamodb", _EXTRA)]) from error
            found = module.DynamoCells(
                registry.dynamodb_table, registry.dynamodb_region, registry.dynamodb_endpoint
            )
            return cast("Cells", found)
