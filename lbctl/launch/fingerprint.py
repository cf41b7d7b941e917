"""
What a part of the configuration is known by between the nodes, 12 hex digits.

Nothing of a file can be guessed from it without the CARP password, and it helps little to guess
that one, since the key is made of it by a function that is slow on purpose.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping

from lbctl.ha.carp import Password

DIGITS = 12
_SALT = b"lbctl digest 1"


class Fingerprints:
    """Made with one password; making it takes some hundredths of a second."""

    def __init__(self, password: Password) -> None:
        self._key = hashlib.scrypt(password.reveal(), salt=_SALT, n=2**14, r=8, p=1)

    def of(self, name: str, part: object) -> str:
        """Of the part *name*, anything that JSON can say."""
        text = json.dumps([name, part], sort_keys=True)
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()[:DIGITS]

    def of_certs(self, certs: Mapping[str, bytes]) -> str:
        """Of the part ``certs``: PEM by file name."""
        return self.of("certs", {name: content_hash(pem) for name, pem in certs.items()})


def content_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
