"""
What is known of a cluster, and the services of ours that it comes to. Pure.

A Kubernetes Service is a service of ours by what its labels and annotations say; its slices have
its servers. An object that changes costs the services that it is part of, and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from lbctl.discovery.definition import beside
from lbctl.discovery.kubernetes_offers import Offer, read_offers
from lbctl.discovery.kubernetes_read import (
    KubeService,
    ObjectError,
    Slice,
    key_of,
    read_service,
    read_slice,
)
from lbctl.discovery.kubernetes_services import Found, Part, found_of
from lbctl.model.service import Snapshot
from lbctl.settings.discovery import Kubernetes

SOURCE: Final = "kubernetes"
What = Literal["services", "slices"]
_SHOWN: Final[Mapping[str, str]] = {"services": "Service", "slices": "EndpointSlice"}


class Picture:
    """
    Args:
        settings: what the rest is taken for.
        prefer: which address of a pod that has both: ``ipv4``, ``ipv6``.
    """

    def __init__(self, settings: Kubernetes, prefer: str) -> None:
        self._settings = settings
        self._prefer = prefer
        self._services: dict[str, KubeService] = {}
        self._slices: dict[str, Slice] = {}
        self._bad: dict[tuple[What, str], str] = {}
        self._found: dict[str, tuple[tuple[Part, ...], Found]] = {}

    @property
    def facts(self) -> Mapping[str, float]:
        """``objects``: Services and slices that are ours."""
        return {"objects": len(self._services) + len(self._slices)}

    @property
    def has_services(self) -> bool:
        return bool(self._services)

    def replace(self, what: What, items: Iterable[Any]) -> None:
        """All of a kind, as a list has them."""
        known: dict[str, Any] = self._services if what == "services" else self._slices
        before = dict(known)
        known.clear()
        self._bad = {key: said for key, said in self._bad.items() if key[0] != what}
        for plain in items:
            self.put(what, plain)
        # An object that is as it was is the same one, so that nobody works its service out again.
        for key, old in before.items():
            if known.get(key) == old:
                known[key] = old

    def put(self, what: What, plain: Any) -> None:
        """One that is new, or another than before."""
        key = "?"
        try:
            key = key_of(plain)
            if what == "services":
                self._services[key] = read_service(plain)
            else:
                self._slices[key] = read_slice(plain)
            self._bad.pop((what, key), None)
        except ObjectError as error:
            # What it was before stays, if it was anything.
            self._bad[what, key] = f"{_SHOWN[what]} {key} is left out: {error}"

    def drop(self, what: What, plain: Any) -> None:
        """One that is no more, or not ours any more."""
        try:
            key = key_of(plain)
        except ObjectError:
            return
        self._bad.pop((what, key), None)
        if what == "services":
            self._services.pop(key, None)
        else:
            self._slices.pop(key, None)

    def snapshot(self, at: float, *, is_sure: bool) -> Snapshot:
        """All of it; *at*: wall clock, seconds; *is_sure*: see there."""
        offers, problems = self._offers()
        by_service = self._by_service()
        known, self._found = self._found, {}
        for name, some in sorted(offers.items()):
            parts = tuple(Part(one, by_service.get(one.service.key, ())) for one in some)
            old = known.get(name)
            found = (
                old[1]
                if old and old[0] == parts
                else found_of(name, parts, self._settings, self._prefer)
            )
            self._found[name] = parts, found
        services, clashes = beside(
            one.service for _, one in self._found.values() if one.service is not None
        )
        said = (what for _, one in self._found.values() for what in one.problems)
        problems = [*self._bad.values(), *problems, *said, *clashes]
        return Snapshot(SOURCE, services, at, tuple(dict.fromkeys(problems)), is_sure=is_sure)

    def _offers(self) -> tuple[Mapping[str, Sequence[Offer]], list[str]]:
        """By name of the service of ours; and what was left out."""
        found: dict[str, list[Offer]] = {}
        problems: list[str] = []
        for key in sorted(self._services):
            is_alone = self._settings.namespace is not None
            offers = read_offers(self._services[key], is_one_namespace=is_alone)
            problems += offers.problems
            for one in offers.offers:
                found.setdefault(one.name, []).append(one)
        return found, problems

    def _by_service(self) -> Mapping[str, tuple[Slice, ...]]:
        found: dict[str, list[Slice]] = {}
        for key in sorted(self._slices):
            found.setdefault(self._slices[key].service, []).append(self._slices[key])
        return {service: tuple(some) for service, some in found.items()}
