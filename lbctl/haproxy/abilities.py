"""What a HAProxy can be told about its servers while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lbctl.haproxy.lines import split_words
from lbctl.haproxy.version import HaproxyVersion

#: Words of a server line that ``add server`` refuses in every version.
#: Source: HAProxy src/server.c, srv_kws: the keywords without "dynamic_ok".
_NEVER: Final = frozenset(
    {
        *("init-addr", "log-proto", "namespace", "non-stick", "redir", "resolve-net", "enabled"),
        *("resolve-opts", "resolve-prefer", "resolvers", "stick", "socks4", "log-bufsize"),
    }
)
_SINCE_3_0: Final = frozenset({"cookie", "max-reuse"})
#: What the command line of HAProxy would read as its own.
_UNSAYABLE: Final = frozenset(";<\"'\n\r\0")


@dataclass(frozen=True, slots=True)
class Abilities:
    """
    Attributes:
        can_add: servers come and go at run time.
        can_add_cookie: also with a cookie of their own.
        version: for people.
    """

    can_add: bool
    can_add_cookie: bool
    version: str = "?"

    @classmethod
    def of(cls, version: HaproxyVersion) -> Abilities:
        """``add server`` is for use since 2.6, and its cookie since 3.0; nbproc ended with 2.4."""
        number = (version.major, version.minor)
        return cls(number >= (2, 6), number >= (3, 0), str(version))

    def unspeakable(self, options: str) -> str:
        """The first word of a server's *options* that cannot be said at run time; empty: none."""
        refused = _NEVER if self.can_add_cookie else _NEVER | _SINCE_3_0
        for word in split_words(options):
            if word in refused or _UNSAYABLE & set(word):
                return word
        return ""


def spoken(options: str) -> str:
    """Words of the configuration as the Runtime API takes them: it knows backslashes alone."""
    return " ".join(word.replace("\\", "\\\\").replace(" ", "\\ ") for word in split_words(options))
