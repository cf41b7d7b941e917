"""
Services that are told by ``POST /v1/registry``; and the same as a function,
:func:`configuration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from lbctl.registry.store import Store

__all__ = ["configuration"]


def configuration(payload: Mapping[str, Any], store: Store | None = None) -> str:
    """
    The haproxy.cfg that matches *payload* and what was known before; see
    :func:`lbctl.registry.handler.configuration`, which reads settings, and whose imports nobody
    else is to pay for.
    """
    return cast("str", import_module("lbctl.registry.handler").configuration(payload, store))
