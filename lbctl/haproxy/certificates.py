"""
What each process is to do so that it serves the certificates of a directory, without a reload.

Pure: what a process says is parsed, compared with what is wanted, and becomes steps, or a reason
why only a reload will do. Keys are in payloads alone, which no `repr` shows.
:mod:`lbctl.haproxy.certificate_turn` carries it out. Source: HAProxy doc/management.txt, "set ssl
cert", and what 2.2, 2.6 and 3.0 were seen to do.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

_BLOCK = re.compile(r"-----BEGIN (?P<kind>[A-Z0-9 ]+)-----.*?-----END (?P=kind)-----", re.DOTALL)
_CERTIFICATE: Final = "CERTIFICATE"
#: ``tune.bufsize``: a command and its payload must fit into it. Longer: 2.2 and 2.6 say nothing.
_BUFFER_BYTES: Final = 16384
#: What the framing around a command takes of it.
_FRAME_BYTES: Final = 64
#: Can be said in a command; ``:`` would be a line number in ``del ssl crt-list``.
_SPEAKABLE = re.compile(r"[A-Za-z0-9._@+=,~*% -]+")
_DNS_NAME = re.compile(r"DNS:([^,]+)")
_COMMON_NAME = re.compile(r"/CN=([^/]+)")

Kind = Literal["replace", "add", "refresh", "remove"]
_DID: Final[Mapping[Kind, str]] = {
    "replace": "is replaced",
    "add": "is added",
    "refresh": "is set again, to keep its place",
    "remove": "is removed",
}


@dataclass(frozen=True, slots=True)
class Pem:
    """
    A file that is to be served.

    Attributes:
        text: its blocks alone, a line each; secret.
        fingerprint: SHA-1 of the first certificate, as HAProxy prints it.
        chain: how many certificates follow the first.
    """

    text: str = field(repr=False)
    fingerprint: str
    chain: int


@dataclass(frozen=True, slots=True)
class Store:
    """
    A certificate as a process has it.

    Attributes:
        spelled: its path, in the words of the configuration: commands must use them.
        fingerprint: as in :class:`Pem`; empty: nothing in it yet.
        chain: as in :class:`Pem`.
        names: that it is for, in lower case.
        is_used: some listener serves it.
    """

    spelled: str
    fingerprint: str = ""
    chain: int = 0
    names: frozenset[str] = frozenset()
    is_used: bool = True

    @property
    def name(self) -> str:
        return self.spelled.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Running:
    """
    What one process has of a directory.

    Attributes:
        stores: by their spelling.
        lists: by the directory as the configuration spells it, the stores in it; the first is for
            clients that name no host, or one that nobody has a certificate for.
        unfinished: the store of a transaction that was begun and left; empty: none.
        foreign: the same for a file that is none of these: somebody is at it by hand.
    """

    stores: Mapping[str, Store] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unfinished: str = ""
    foreign: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """
    Attributes:
        text: one line.
        payload: what belongs to it; secret.
        proof: must be in the answer: some refusals are told like successes.
    """

    text: str
    payload: str | None = field(default=None, repr=False)
    proof: str = ""


@dataclass(frozen=True, slots=True)
class CertificateStep:
    """
    Attributes:
        kind: what is done.
        name: of the file.
        spelled: its store.
        commands: in order; what follows a refused one is not sent.
        undo: sent after a refusal, whatever comes back.
        fingerprint: what the store must show afterwards; empty: it must be gone.
    """

    kind: Kind
    name: str
    spelled: str
    commands: tuple[Command, ...]
    undo: tuple[Command, ...] = ()
    fingerprint: str = ""

    def describe(self) -> str:
        return f"certificate {self.name} {_DID[self.kind]}"


@dataclass(frozen=True, slots=True)
class CertificatePlan:
    """
    Attributes:
        steps: in order; none where there is a reason.
        reasons: why it takes a reload.
    """

    steps: tuple[CertificateStep, ...] = ()
    reasons: tuple[str, ...] = ()


def plan_certificates(
    running: Running, wanted: Mapping[str, Pem], rewritten: Collection[str] = ()
) -> CertificatePlan:
    """
    How a process comes to serve *wanted*.

    A process whose configuration loads nothing from the directory has nothing to do: whether it is
    to begin is told by its configuration.

    Args:
        wanted: by file name.
        rewritten: whose bytes differ from the file that the process was told of last: a new chain
            may look like the old one.
    """
    if not running.stores and not running.lists:
        return CertificatePlan()
    # Whoever left a transaction behind had not come to the end of that certificate either.
    doubtful = {*rewritten, running.unfinished.rpartition("/")[2]}
    steps = [*_replaced(running, wanted, doubtful), *_added(running, wanted)]
    steps.sort(key=lambda step: step.name)
    reasons = [*_order_reasons(running, wanted), *_odd_reasons(steps)]
    steps += _removed(running, wanted)
    return CertificatePlan((), tuple(reasons)) if reasons else CertificatePlan(tuple(steps))


def plan_refresh(
    running: Running, wanted: Mapping[str, Pem], touched: Collection[str]
) -> CertificatePlan:
    """
    What else is to be set again after *touched* were.

    Of two certificates for one name, HAProxy serves the one that came first: in a directory, by
    the names of the files. One that is set at run time becomes the last, and a reload would turn
    that round again. So those behind it that share a name with it are set anew, in their order.

    Args:
        running: after the other steps.
        touched: names of files, which were set in the order of their names.
    """
    names: set[str] = set()
    again: set[str] = set()
    steps = []
    for store in sorted(running.stores.values(), key=lambda one: one.name):
        if store.name in touched and not again & store.names:
            names |= store.names
        elif store.is_used and names & store.names and store.name in wanted:
            names |= store.names
            again |= store.names
            steps.append(_set("refresh", store.spelled, wanted[store.name]))
    return CertificatePlan(tuple(steps))


def parse_store(text: str) -> Store:
    """
    Read the answer to ``show ssl cert PATH``.

    Raises:
        ValueError: it is none.
    """
    pairs = [line.partition(": ") for line in text.splitlines()]
    values = {key: value.strip() for key, _, value in pairs}
    if "Filename" not in values:
        message = "not the description of a certificate"
        raise ValueError(message)
    names = [
        *_DNS_NAME.findall(values.get("Subject Alternative Name", "")),
        *_COMMON_NAME.findall(values.get("Subject", "")),
    ]
    return Store(
        spelled=values["Filename"],
        fingerprint=values.get("SHA1 FingerPrint", ""),
        chain=sum(key == "Chain Subject" for key, _, _ in pairs),
        names=frozenset(name.strip().lower() for name in names),
        is_used=values.get("Status") == "Used",
    )


def parse_names(text: str) -> tuple[tuple[str, ...], str]:
    """Read the answer to ``show ssl cert``: the stores, and a transaction that is under way."""
    lines = [line for line in text.splitlines() if line and not line.startswith("# ")]
    unfinished = next((line[1:] for line in lines if line.startswith("*")), "")
    return tuple(line for line in lines if not line.startswith("*")), unfinished


def parse_list(text: str) -> tuple[str, ...]:
    """Read the answer to ``show ssl crt-list PATH``; entries of a directory have no options."""
    return tuple(line for line in text.splitlines() if line and not line.startswith("# "))


def read_pem(content: bytes) -> Pem:
    """Take the blocks out: an empty line, or what stands between them, would end a payload."""
    kinds, lines = [], list[str]()
    for block in _BLOCK.finditer(content.decode("ascii", "replace")):
        kinds.append(block["kind"])
        lines += [line.strip() for line in block[0].splitlines() if line.strip()]
    text = "".join(f"{line}\n" for line in lines)
    return Pem(text, _fingerprint(text), max(kinds.count(_CERTIFICATE) - 1, 0))


def quote(word: str) -> str:
    """*word* as one of a command."""
    return re.sub(r"([\\ ])", r"\\\1", word)


def _replaced(
    running: Running, wanted: Mapping[str, Pem], rewritten: Collection[str]
) -> Iterator[CertificateStep]:
    for spelled, store in sorted(running.stores.items()):
        pem = wanted.get(store.name)
        if pem is None or not store.is_used:
            continue
        if (
            store.fingerprint != pem.fingerprint
            # More of them than in the file: HAProxy found them elsewhere (issuers-chain-path).
            or store.chain < pem.chain
            or store.name in rewritten
        ):
            yield _set("replace", spelled, pem)


def _added(running: Running, wanted: Mapping[str, Pem]) -> Iterator[CertificateStep]:
    for directory, listed in sorted(running.lists.items()):
        there = {spelled.rpartition("/")[2] for spelled in listed}
        for name in sorted(set(wanted) - there):
            spelled = f"{directory}/{name}"
            path, set_it = quote(spelled), _set("add", spelled, wanted[name])
            # Whoever was interrupted left the store without an entry.
            new = () if spelled in running.stores else (Command(f"new ssl cert {path}"),)
            list_it = Command(f"add ssl crt-list {quote(directory)} {path}", proof="Success!")
            yield CertificateStep(
                "add",
                name,
                spelled,
                (*new, *set_it.commands, list_it),
                (*set_it.undo, Command(f"del ssl cert {path}")),
                set_it.fingerprint,
            )


def _removed(running: Running, wanted: Mapping[str, Pem]) -> Iterator[CertificateStep]:
    listed = {spelled: directory for directory, all_ in running.lists.items() for spelled in all_}
    for spelled, store in sorted(running.stores.items()):
        if store.name in wanted or (store.is_used and spelled not in listed):
            # What the configuration itself names stays until the configuration changes.
            continue
        path = quote(spelled)
        unlist = (
            (Command(f"del ssl crt-list {quote(listed[spelled])} {path}"),)
            if spelled in listed
            else ()
        )
        yield CertificateStep(
            "remove", store.name, spelled, (*unlist, Command(f"del ssl cert {path}"))
        )


def _order_reasons(running: Running, wanted: Mapping[str, Pem]) -> Iterator[str]:
    first = min(wanted, default="")
    for directory, listed in sorted(running.lists.items()):
        now = listed[0].rpartition("/")[2] if listed else ""
        if not wanted:
            yield f"the last certificate of {directory} is gone: HAProxy no longer listens for TLS"
        elif now and now != first:
            yield (
                f"the certificate for clients that name no host, or one without a certificate, "
                f"changes from {now} to {first}"
            )


def _odd_reasons(steps: Iterable[CertificateStep]) -> Iterator[str]:
    for step in steps:
        size = max(
            len(command.text) + len((command.payload or "").encode()) for command in step.commands
        )
        if not _SPEAKABLE.fullmatch(step.name):
            yield f"certificate {step.name!r}: no command can carry this name"
        elif size > _BUFFER_BYTES - _FRAME_BYTES:
            yield (
                f"certificate {step.name} has {size} bytes, and a command takes "
                f"{_BUFFER_BYTES - _FRAME_BYTES} (tune.bufsize)"
            )


def _set(kind: Kind, spelled: str, pem: Pem) -> CertificateStep:
    path = quote(spelled)
    return CertificateStep(
        kind,
        spelled.rpartition("/")[2],
        spelled,
        (
            # 2.6 puts it into whatever transaction is under way, and says so.
            Command(f"set ssl cert {path}", payload=pem.text, proof=f"certificate {spelled}!"),
            Command(f"commit ssl cert {path}", proof="Success!"),
        ),
        (Command(f"abort ssl cert {path}"),),
        pem.fingerprint,
    )


def _fingerprint(text: str) -> str:
    block = next((one[0] for one in _BLOCK.finditer(text) if one["kind"] == _CERTIFICATE), "")
    try:
        der = ssl.PEM_cert_to_DER_cert(block)
    except ValueError:
        return ""
    # SHA-1 names it, and proves nothing: it is what HAProxy prints.
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
