"""Services that are refused, kept apart: one of them does not keep all others from serving."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from lbctl.errors import Problem, ValidationError
from lbctl.model.service import Service
from lbctl.settings.model import Settings

_Result = TypeVar("_Result")


def service_shown(name: str) -> str:
    """:attr:`Problem.where` of what is said against a service."""
    return f"service {name}"


def apart(
    settings: Settings,
    attempt: Callable[[Settings], _Result],
    *,
    with_known: Settings | None = None,
) -> tuple[_Result, tuple[Problem, ...]]:
    """
    Attempt it with all services; where it is refused, without those that are to blame, or, where
    nobody says who is, without any: the agent finds out, one by one.

    Args:
        with_known: *settings* and what sources of services have added: tried before. Where nobody
            says which of them is to blame, those with ports of their own are given up, then all.

    Returns:
        What came of it, and what was said against the services that are not in it.

    Raises:
        ValidationError: the first refusal, where services are not all that is refused.
    """
    if with_known is not None and with_known is not settings:
        with suppress(ValidationError):
            return _without_blamed(with_known, attempt)
        # Whoever has the port of one of them, the others serve.
        with suppress(ValidationError):
            return _without_blamed(_without_ports(with_known, settings), attempt)
    try:
        return attempt(settings), ()
    except ValidationError as error:
        refusal = error
    some = _innocent(settings, refusal)
    rest = replace(settings, services=some if len(some) < len(settings.services) else ())
    if rest == settings:
        raise refusal
    try:
        return attempt(rest), tuple(refusal.problems)
    except ValidationError:
        raise refusal from None


def _without_blamed(
    settings: Settings, attempt: Callable[[Settings], _Result]
) -> tuple[_Result, tuple[Problem, ...]]:
    try:
        return attempt(settings), ()
    except ValidationError as error:
        some = _innocent(settings, error)
        if len(some) == len(settings.services):
            raise
        return attempt(replace(settings, services=some)), tuple(error.problems)


def _without_ports(known: Settings, settings: Settings) -> Settings:
    """*known* without what sources of services would listen on by themselves."""
    operators = {one.name for one in settings.services}
    kept = (
        one
        for one in known.services
        if one.name in operators or all(route.port is None for route in one.all_routes)
    )
    return replace(known, services=tuple(kept))


def _innocent(settings: Settings, refusal: ValidationError) -> tuple[Service, ...]:
    blamed = {problem.where for problem in refusal.problems}
    return tuple(one for one in settings.services if service_shown(one.name) not in blamed)
