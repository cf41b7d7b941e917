"""
What HAProxy is to be: the text of its configuration, with the servers of generated backends apart.

A change of those servers alone can be made at run time; a change of anything else is a reload. The
text on disk is its own record: :meth:`Target.parse` is the inverse of :meth:`Target.text`, so that
whoever comes later knows what the running process was told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from lbctl.model.address import split_address

Admin = Literal["ready", "drain", "maint"]

#: In the place of a weight, where people say one: what the configuration says.
AS_CONFIGURED: Final = "default"

#: Generated backends stand between these two lines, and nothing else does.
BEGIN = "# lbctl: backends of services: begin"
END = "# lbctl: backends of services: end"

#: Behind a server whose address is a name; ``add server`` never looks a name up.
RESOLVED: Final = " resolvers lbctl init-addr last,libc,none"

_DRAINED: Final = " # drained; its weight is "
_OPTIONS: Final = "    # lbctl: add server: "
_FIXED: Final = "    # lbctl: only a reload changes its servers: "
_SHARED: Final = "    default-server "
_FOREIGN: Final = ("backend ", "    server ", _OPTIONS, _FIXED)
#: What no server line may have in a word: HAProxy would read more than the word.
_ODD = re.compile(r"[^A-Za-z0-9_.:\[\]/@+=-]")
_BACKEND = re.compile(r"^(?=backend )", re.M)
_OWN_LINE = re.compile(rf"^(?:    server |{re.escape(_OPTIONS)}|{re.escape(_FIXED)})", re.M)
_SERVER = re.compile(
    r"    server (?P<name>\S+) (?P<address>\S+) id (?P<id>\d+) weight (?P<weight>\d+)"
    r"(?: maxconn (?P<maxconn>\d+))?(?: cookie (?P<cookie>\S+))?(?P<backup> backup)?"
    rf"(?P<maint> disabled)?(?:{re.escape(RESOLVED)})?(?:{re.escape(_DRAINED)}(?P<drained>\d+))?\n"
)


@dataclass(frozen=True, slots=True)
class TargetServer:
    """
    One ``server`` line.

    Attributes:
        name: HAProxy's, safe.
        id: explicit, so that processes agree on consistent hashes.
        address: ``10.0.0.1:80``, ``[fd00::1]:80``, or a name with its port.
        weight: 0..256, when it is not drained.
        maxconn: of one process; None: unlimited.
        cookie: its value for sticky sessions; empty: none.
        is_backup: see :class:`lbctl.model.service.Server`.
        admin: what its source, or the operator, wants of it: ``maint`` is ``disabled`` in the file,
            ``drain`` is ``weight 0``.
    """

    name: str
    id: int
    address: str
    weight: int = 100
    maxconn: int | None = None
    cookie: str = ""
    is_backup: bool = False
    admin: Admin = "ready"

    @property
    def is_named(self) -> bool:
        """Its address is a name, which HAProxy looks up."""
        return split_address(self.address) is None

    def line(self) -> str:
        """
        As it stands in the file.

        Raises:
            ValueError: a word of it would be read as more than one.
        """
        if _ODD.search(f"{self.name}{self.address}{self.cookie}"):
            words = (self.name[:60], self.address[:60], self.cookie[:60])
            message = f"server {words}: one of them is no word that HAProxy keeps"
            raise ValueError(message)
        is_drained = self.admin == "drain"
        return (
            f"    server {self.name} {self.address} id {self.id}"
            f" weight {0 if is_drained else self.weight}"
            f"{'' if self.maxconn is None else f' maxconn {self.maxconn}'}"
            f"{f' cookie {self.cookie}' if self.cookie else ''}"
            f"{' backup' if self.is_backup else ''}"
            f"{' disabled' if self.admin == 'maint' else ''}"
            f"{RESOLVED if self.is_named else ''}"
            f"{f'{_DRAINED}{self.weight}' if is_drained else ''}\n"
        )


def meaning(text: str) -> str:
    """A configuration as HAProxy understands it: without comments, empty lines and indents."""
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line and line[0] != "#")


@dataclass(frozen=True, slots=True)
class TargetBackend:
    """
    One generated backend.

    Attributes:
        name: HAProxy's, safe.
        head: its lines but for the servers, from ``backend NAME`` on, each with its newline; the
            words that all servers share are a ``default-server`` line in it, which ``add server``
            does not heed: they are in *options* too.
        options: those words: ``check inter 2s``.
        servers: by name.
        fixed: one line: why servers cannot come and go at run time whatever HAProxy's version
            (``balance source``, ``server-template``); empty: they can.
    """

    name: str
    head: str
    options: str = ""
    servers: tuple[TargetServer, ...] = ()
    fixed: str = ""
    _text: str = field(default="", init=False, repr=False, compare=False)

    def text(self) -> str:
        """
        As it stands in the file; worked out once.

        Raises:
            ValueError: see :meth:`TargetServer.line`; or *head* does not open this backend, or has
                a line that would be taken for one of its servers.
        """
        if not self._text:
            opening, *lines = self.head.split("\n")
            if opening.split() != ["backend", self.name] or lines[-1:] != [""]:
                message = f"backend {self.name[:60]!r}: its lines begin with {opening[:60]!r}"
                raise ValueError(message)
            if any(line.startswith(_FOREIGN) or line in (BEGIN, END) for line in lines):
                message = f"backend {self.name!r}: a server or a backend is among its own lines"
                raise ValueError(message)
            remarks = f"{_FIXED}{self.fixed}\n" if self.fixed else ""
            if _shared_words(self.head) != self.options:
                remarks += f"{_OPTIONS}{self.options}\n"
            text = self.head + remarks + "".join(server.line() for server in self.servers)
            object.__setattr__(self, "_text", text)
        return self._text

    @classmethod
    def parse(cls, text: str) -> TargetBackend:
        """
        The inverse of :meth:`text`.

        Raises:
            ValueError: it is not of that form.
        """
        found = _OWN_LINE.search(text)
        cut = found.start() if found else len(text)
        head = text[:cut]
        at = cut
        servers = []
        options, fixed = _shared_words(head), ""
        while at < len(text):
            if server := _SERVER.match(text, at):
                servers.append(_server(server))
                at = server.end()
                continue
            line, _, _ = text[at:].partition("\n")
            if line.startswith(_FIXED) and not servers:
                fixed = line.removeprefix(_FIXED)
            elif line.startswith(_OPTIONS) and not servers:
                options = line.removeprefix(_OPTIONS)
            else:
                message = f"{line[:60]!r} is no server line of lbctl's"
                raise ValueError(message)
            at += len(line) + 1
        name = head.split(maxsplit=2)[1:2]
        backend = cls("".join(name), head, options, tuple(servers), fixed)
        if backend.text() != text:
            message = f"backend {backend.name[:60]!r} is not as lbctl writes it"
            raise ValueError(message)
        return backend


def _shared_words(head: str) -> str:
    """What the first ``default-server`` line says."""
    at = head.find(_SHARED)
    return "" if at < 0 else head[at + len(_SHARED) : head.index("\n", at)]


def _server(found: re.Match[str]) -> TargetServer:
    name, address, number, weight, maxconn, cookie, backup, maint, drained = found.groups()
    return TargetServer(
        name,
        int(number),
        address,
        int(drained or weight),
        None if maxconn is None else int(maxconn),
        cookie or "",
        backup is not None,
        "drain" if drained else "maint" if maint else "ready",
    )


@dataclass(frozen=True, slots=True)
class Target:
    """
    Attributes:
        before: the text before the generated backends; ends with its line.
        backends: by name.
        after: the text behind them.
        files: what else HAProxy loads and a reload must bring (maps), by file name in the run dir.
    """

    before: str
    backends: Mapping[str, TargetBackend]
    after: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.before and not self.before.endswith("\n"):
            object.__setattr__(self, "before", self.before + "\n")

    def text(self) -> str:
        """
        The whole file.

        Raises:
            ValueError: see :meth:`TargetBackend.text`; or the text around the backends has one of
                the two lines that they stand between.
        """
        around = f"\n{self.before}\n{self.after}\n"
        if f"\n{BEGIN}\n" in around or f"\n{END}\n" in around:
            message = f"{BEGIN!r} or {END!r} stands in the text around the generated backends"
            raise ValueError(message)
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        """The text in pieces: what is before, a backend each, what is behind."""
        yield f"{self.before}{BEGIN}\n"
        for backend in self.backends.values():
            yield backend.text()
        yield f"{END}\n{self.after}"

    @classmethod
    def parse(cls, text: str, files: Mapping[str, str] | None = None) -> Target:
        """
        The inverse of :meth:`text`.

        Args:
            text: of the file.
            files: what :attr:`files` was.

        Raises:
            ValueError: the text is not lbctl's, or someone changed it.
        """
        before, begin, rest = _cut(text, BEGIN)
        block, end, after = _cut(rest, END)
        if not begin or not end:
            message = f"{BEGIN!r} or {END!r} is missing"
            raise ValueError(message)
        opening, *chunks = _BACKEND.split(block) if block else [""]
        if opening:
            message = f"{opening[:60]!r} stands where the first backend should"
            raise ValueError(message)
        backends = [TargetBackend.parse(chunk) for chunk in chunks]
        by_name = {backend.name: backend for backend in backends}
        if len(by_name) != len(backends):
            message = "two backends have the same name"
            raise ValueError(message)
        return cls(before, by_name, after, dict(files or {}))

    def owner(self, line: int) -> str | None:
        """The name of the backend that has this line of :meth:`text` (1 and up), if one has."""
        at = 0
        names = (None, *self.backends, None)
        for name, part in zip(names, self._parts(), strict=True):
            at += part.count("\n")
            if line <= at:
                return name
        return None

    def shape(self) -> str:
        """
        A short mark of all that only a reload brings, whatever HAProxy's version.

        Two targets with one shape differ in comments and in servers alone.
        """
        parts = [self.before, self.after]
        parts += [f"{backend.head}\n{backend.options}" for backend in self.backends.values()]
        digest = hashlib.sha256("\0".join(map(meaning, parts)).encode("utf-8", "surrogateescape"))
        for name, text in sorted(self.files.items()):
            digest.update(f"\0{name}\0{text}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()[:16]


def _cut(text: str, mark: str) -> tuple[str, bool, str]:
    """What is before and behind the first line that is *mark*; the mark, if there is one."""
    if text.startswith(f"{mark}\n"):
        return "", True, text[len(mark) + 1 :]
    before, found, behind = text.partition(f"\n{mark}\n")
    return (f"{before}\n" if found else before), bool(found), behind
