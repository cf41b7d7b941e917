"""
What the API server says of Services and EndpointSlices, in values of ours. Pure.

An object that makes no sense is named and left out; one with fields that nobody knows yet is read
by those that are known. What an endpoint's conditions mean is judged here, as the API's own
documentation has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lbctl.discovery.labels import of_mapping

State = Literal["ready", "drain", "maint"]

#: The Service that a slice is of.
_OF_SERVICE: Final = "kubernetes.io/service-name"
#: What is reached by a name has no slices.
EXTERNAL: Final = "ExternalName"


class ObjectError(ValueError):
    """An object makes no sense; says why, without whose it is."""


@dataclass(frozen=True, slots=True)
class Port:
    """
    Attributes:
        name: empty: the only one of its Service.
        number: of the Service, or in a slice of its pods.
        protocol: ``TCP``, ``UDP``, ``SCTP``.
    """

    name: str
    number: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class KubeService:
    """
    Attributes:
        created: as it is said, ``2026-08-21T00:00:00Z``: in order as a text.
        words: of its labels and annotations, without ``lbctl.``; the later counts.
        kind: ``ClusterIP``, ``NodePort``, ``LoadBalancer``, ``ExternalName``.
    """

    namespace: str
    name: str
    created: str = ""
    words: tuple[tuple[str, str], ...] = ()
    ports: tuple[Port, ...] = ()
    kind: str = "ClusterIP"

    @property
    def key(self) -> str:
        """``default/hello``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    Attributes:
        address: the first that is said; Kubernetes means no more by the others.
        state: see :func:`_state`.
        name: of its pod; else of its host; empty: it has none.
    """

    address: str
    state: State
    name: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """
    Attributes:
        service: ``default/hello``; empty: it is of none.
        family: ``IPv4``, ``IPv6``, ``FQDN``.
    """

    namespace: str
    name: str
    service: str
    family: str
    ports: tuple[Port, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


def key_of(plain: object) -> str:
    """
    ``default/hello``, of any object.

    Raises:
        ObjectError: it has no name.
    """
    meta = _mapping(_mapping(plain).get("metadata"))
    namespace, name = meta.get("namespace"), meta.get("name")
    if not isinstance(namespace, str) or not isinstance(name, str) or not name:
        message = "an object has no namespace, or no name"
        raise ObjectError(message)
    return f"{namespace}/{name}"


def version_of(plain: object) -> str:
    """Where a watch may go on from; empty: it is not said."""
    found = _mapping(_mapping(plain).get("metadata")).get("resourceVersion")
    return found if isinstance(found, str) else ""


def read_service(plain: object) -> KubeService:
    """
    A Service (v1).

    Raises:
        ObjectError: it makes no sense.
    """
    namespace, _, name = key_of(plain).partition("/")
    meta, spec = _mapping(_mapping(plain)["metadata"]), _mapping(_mapping(plain).get("spec"))
    # A label holds no more than 63 letters, digits and -_. : what does not fit there is beside it.
    words = (*_words(meta, "labels"), *_words(meta, "annotations"))
    kind, created = spec.get("type"), meta.get("creationTimestamp")
    return KubeService(
        namespace,
        name,
        created=created if isinstance(created, str) else "",
        words=words,
        ports=tuple(_ports(spec)),
        kind=kind if isinstance(kind, str) else "ClusterIP",
    )


def read_slice(plain: object) -> Slice:
    """
    An EndpointSlice (discovery.k8s.io/v1).

    Raises:
        ObjectError: it makes no sense.
    """
    namespace, _, name = key_of(plain).partition("/")
    said = _mapping(plain)
    labels = _mapping(_mapping(said["metadata"]).get("labels"))
    service = labels.get(_OF_SERVICE)
    endpoints = said.get("endpoints")
    if endpoints is not None and not isinstance(endpoints, list):
        message = "its endpoints are no list"
        raise ObjectError(message)
    return Slice(
        namespace,
        name,
        f"{namespace}/{service}" if isinstance(service, str) and service else "",
        str(said.get("addressType")),
        tuple(_ports(said)),
        tuple(found for one in endpoints or () if (found := _endpoint(one)) is not None),
    )


def _words(meta: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    said = {name: value for name, value in _mapping(meta.get(place)).items() if _is_text(value)}
    return of_mapping(said)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _ports(said: Mapping[str, Any]) -> Iterator[Port]:
    found = said.get("ports")
    for one in found if isinstance(found, list) else ():
        port = _mapping(one)
        number = port.get("port")
        # A slice without a number means every port: nothing to send a request to.
        if type(number) is int and 1 <= number <= 65535:
            yield Port(str(port.get("name") or ""), number, str(port.get("protocol") or "TCP"))


def _endpoint(plain: object) -> Endpoint | None:
    said = _mapping(plain)
    addresses = said.get("addresses")
    first = addresses[0] if isinstance(addresses, list) and addresses else None
    if not isinstance(first, str) or not first:
        return None
    about = _mapping(said.get("targetRef"))
    pod = about.get("name") if about.get("kind") == "Pod" else None
    state = _state(_mapping(said.get("conditions")))
    return Endpoint(first, state, _text(pod, said.get("hostname")))


def _text(*choices: object) -> str:
    return next((one for one in choices if isinstance(one, str) and one), "")


def _state(conditions: Mapping[str, Any]) -> State:
    """
    ``ready`` is not said of one that ends, but with publishNotReadyAddresses; unsaid it counts as
    true. ``serving`` is the same whether it ends or not; unsaid it is as ``ready``.
    """
    is_ready = conditions.get("ready") is not False
    if is_ready:
        return "ready"
    is_serving = conditions.get("serving") is True
    return "drain" if is_serving and conditions.get("terminating") is True else "maint"


def _mapping(plain: object) -> Mapping[str, Any]:
    return plain if isinstance(plain, dict) else {}
