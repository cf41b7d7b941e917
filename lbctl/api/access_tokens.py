"""
What proves a right: the two tokens, a browser's cookie, and the word in a form that shows it was
this API that gave the form out. Pure; nothing is kept, so that a restart ends no session.

A cookie holds the right, when it ends and a number drawn for it, sealed with a key that is made of
the token: another token ends it. It is sealed for one address, too: a browser sends its cookies to
every port of a host, so that what is balanced there sees this one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Right = Literal["read", "write"]

WRITE_KEY: Final = "api.token_file"
READ_KEY: Final = "api.read_token_file"

#: Life of a cookie, seconds.
SESSION_S: Final = 12 * 3600
_COOKIE_MAX_CHARS: Final = 200
_LETTERS: Final[Mapping[str, Right]] = {"r": "read", "w": "write"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """
    Attributes:
        write: whoever brings it may do everything; empty: there is none.
        read: whoever brings it may look.
    """

    write: bytes = field(default=b"", repr=False)
    read: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, secrets: Mapping[str, bytes]) -> Tokens:
        """*secrets*: of a generation."""
        return cls(secrets.get(WRITE_KEY, b""), secrets.get(READ_KEY, b""))

    def right_of(self, given: bytes) -> Right | None:
        """Both are compared, whatever the first said, and in the same time whatever was given."""
        is_write = _is_same(given, self.write)
        is_read = _is_same(given, self.read)
        if is_write:
            return "write"
        return "read" if is_read else None

    def cookie(self, right: Right, network: str, now: float, drawn: str = "") -> str:
        """
        Args:
            network: whom it is given to.
            now: wall clock, seconds.
            drawn: a random number; empty: it is drawn here.
        """
        ends = int(now) + SESSION_S
        head = f"{right[0]}.{ends}.{drawn or randomness.token_hex(16)}"
        return f"{head}.{self._seal(right, f'{head} {network}')}"

    def right_of_cookie(self, cookie: str, network: str, now: float) -> Right | None:
        """None: it is none of these tokens', or not for *network*, or has ended."""
        head, _, seal = cookie.rpartition(".")
        letter, _, rest = head.partition(".")
        ends = rest.partition(".")[0]
        right = _LETTERS.get(letter)
        is_one = len(cookie) <= _COOKIE_MAX_CHARS and cookie.isascii() and ends.isdecimal()
        if not is_one or right is None or not self._token(right):
            return None
        if not hmac.compare_digest(seal, self._seal(right, f"{head} {network}")):
            return None
        return right if now < int(ends) else None

    def _token(self, right: Right) -> bytes:
        return self.write if right == "write" else self.read

    def _seal(self, right: Right, text: str) -> str:
        key = hmac.new(self._token(right), b"lbctl cookie 1", "sha256").digest()
        return hmac.new(key, text.encode(), "sha256").hexdigest()


def form_word(key: bytes, session: str) -> str:
    """
    The word that a form of this session brings back (``csrf``).

    Args:
        key: what this API alone knows.
        session: the cookie, or what stands for it.
    """
    return hmac.new(key, b"lbctl form 1 " + session.encode(), "sha256").hexdigest()


def _is_same(given: bytes, token: bytes) -> bool:
    """Digests are of one length: that of the token is not told by time."""
    is_same = hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(token).digest())
    return is_same and bool(token)
