"""
The certificates of a HAProxy process that is none, with the rules that it keeps.

A contract test plays the same script to it and to real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.errors import RuntimeApiError
from lbctl.haproxy.certificates import Pem, read_pem
from lbctl.haproxy.runtime import Answer

_WORD = re.compile(r"(?:[^\\ ]|\\.)+")


@dataclass(slots=True)
class Loaded:
    """
    A store.

    Attributes:
        since: counts what was set: of two for one name, the smaller is served.
    """

    pem: Pem | None
    since: int = 0


@dataclass(slots=True)
class CertificateRuntime:
    """
    Attributes:
        directory: that its listener loads.
        stores: by path.
        listed: in their order; the first is the default.
        transaction: path and what was set; None: none is under way.
        budget: commands that it answers before it is gone.
        asked: what changed something, in order.
    """

    directory: str
    stores: dict[str, Loaded] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    transaction: tuple[str, Pem] | None = None
    budget: int = 1_000_000
    asked: list[str] = field(default_factory=list)
    clock: int = 0

    @classmethod
    def start(cls, directory: str, files: Mapping[str, bytes]) -> CertificateRuntime:
        process = cls(directory)
        for name, content in sorted(files.items()):
            process._tick()
            process.stores[f"{directory}/{name}"] = Loaded(read_pem(content), process.clock)
        process.listed = list(process.stores)
        return process

    def shown(self) -> dict[str, str]:
        """By the path of each store that is served, its fingerprint."""
        return {path: _of(self.stores[path]).fingerprint for path in self.listed}

    async def ask(self, command: str, *, payload: str | None = None) -> str:
        self.budget -= 1
        if self.budget < 0:
            message = f"fake: {command!r}: the process does not run"
            raise RuntimeApiError(message)
        words = [re.sub(r"\\(.)", r"\1", word) for word in _WORD.findall(command)]
        verb, what = words[0], " ".join(words[1:3])
        if verb != "show":
            self.asked.append(command)
        return self._commands()[f"{verb} {what}"](words[3:], payload)

    async def ask_all(self, commands: Sequence[str]) -> tuple[Answer, ...]:
        answers = []
        for command in commands:
            try:
                answers.append(Answer(command, await self.ask(command)))
            except RuntimeApiError as error:
                answers.append(Answer(command, refusal=str(error)))
        return tuple(answers)

    def _commands(self) -> Mapping[str, Callable[[list[str], str | None], str]]:
        return {
            "show ssl cert": self._show,
            "show ssl crt-list": self._show_list,
            "new ssl cert": self._new,
            "set ssl cert": self._set,
            "commit ssl cert": self._commit,
            "abort ssl cert": self._abort,
            "del ssl cert": self._del,
            "add ssl crt-list": self._add,
            "del ssl crt-list": self._unlist,
        }

    def _show(self, words: list[str], _: str | None) -> str:
        if not words:
            under_way = f"# transaction\n*{self.transaction[0]}\n" if self.transaction else ""
            return under_way + "# filename\n" + "".join(f"{path}\n" for path in self.stores)
        store = self._store(words[0])
        if store.pem is None:
            return f"Filename: {words[0]}\nStatus: Empty\n"
        chain = "Chain Subject: /CN=c\n" * store.pem.chain
        return (
            f"Filename: {words[0]}\nStatus: {'Used' if words[0] in self.listed else 'Unused'}\n"
            f"Subject: /CN=x.example\nSHA1 FingerPrint: {store.pem.fingerprint}\n{chain}"
        )

    def _show_list(self, words: list[str], _: str | None) -> str:
        if not words:
            return f"{self.directory}\n" if self.listed else ""
        return f"# {self.directory}\n" + "".join(f"{path}\n" for path in self.listed)

    def _new(self, words: list[str], _: str | None) -> str:
        if words[0] in self.stores:
            self._refuse("already exists!")
        self.stores[words[0]] = Loaded(None)
        return "New empty certificate store\n"

    def _set(self, words: list[str], payload: str | None) -> str:
        self._store(words[0])
        pem = read_pem((payload or "").encode())
        if not pem.fingerprint:
            self._refuse("unable to load certificate")
        # As 2.6 does; 2.2 and 3.0 refuse what is about another store.
        path = self.transaction[0] if self.transaction else words[0]
        self.transaction = (path, pem)
        return f"Transaction created for certificate {path}!\n"

    def _commit(self, words: list[str], _: str | None) -> str:
        if self.transaction is None or self.transaction[0] != words[0]:
            self._refuse("No ongoing transaction!")
        elif "PRIVATE KEY" not in self.transaction[1].text:
            self._refuse("The transaction must contain at least a certificate and a private key!")
        else:
            self._tick()
            self.stores[words[0]] = Loaded(self.transaction[1], self.clock)
            self.transaction = None
        return "Committing\nSuccess!\n"

    def _abort(self, words: list[str], _: str | None) -> str:
        if self.transaction is None or self.transaction[0] != words[0]:
            self._refuse("No ongoing transaction!")
        self.transaction = None
        return "Transaction aborted\n"

    def _del(self, words: list[str], _: str | None) -> str:
        self._store(words[0])
        if words[0] in self.listed:
            self._refuse("in use, can't be deleted!")
        del self.stores[words[0]]
        return "deleted!\n"

    def _add(self, words: list[str], _: str | None) -> str:
        if self._store(words[1]).pem is None:
            self._refuse("is empty!")
        if words[1] in self.listed:
            self._refuse("file already exists in this directory!")
        self.listed.append(words[1])
        return "Inserting\nSuccess!\n"

    def _unlist(self, words: list[str], _: str | None) -> str:
        if words[1] not in self.listed:
            self._refuse("does not exist!")
        self.listed.remove(words[1])
        return "deleted in crtlist\n"

    def _store(self, path: str) -> Loaded:
        if path not in self.stores:
            self._refuse("does not exist!")
        return self.stores[path]

    def _tick(self) -> None:
        self.clock += 1

    def _refuse(self, why: str) -> None:
        message = f"fake: refused: {why}"
        raise RuntimeApiError(message)


def _of(store: Loaded) -> Pem:
    assert store.pem is not None
    return store.pem
