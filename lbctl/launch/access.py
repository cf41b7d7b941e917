"""
What of the API over TCP works, and is worth a thought: warnings of ``lbctl check``, of a start and
of ``lbctl doctor``. What cannot work is refused by :mod:`secrets`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lbctl.files import read_bounded
from lbctl.haproxy.pem import judge
from lbctl.settings.model import Settings
from lbctl.settings.rules import is_loopback

#: Shorter ones can be guessed by whoever has time.
TOKEN_CHARS: Final = 16
_FILE_MAX_BYTES: Final = 1 << 20
_BIND: Final = re.compile(r"(?P<host>.*):[0-9]+")


def access_warnings(settings: Settings) -> Iterator[str]:
    """In sentences that begin with the key; a file that cannot be read is told of elsewhere."""
    api = settings.api
    if api.bind is None:
        return
    host = _BIND.sub(r"\g<host>", api.bind)
    if api.tls.cert_file is None and not is_loopback(host):
        yield (
            f"api.bind = {api.bind!r}: without api.tls.cert_file whoever reads on that network "
            "learns the token"
        )
    for name in ("token_file", "read_token_file"):
        path = getattr(api, name)
        if path is not None and 0 < len(_content(path).strip()) < TOKEN_CHARS:
            yield (
                f"api.{name}: {path}: a token of less than {TOKEN_CHARS} characters can be "
                "guessed: openssl rand -hex 24"
            )
    if api.tls.cert_file is not None:
        key = b"" if api.tls.key_file is None else _content(api.tls.key_file)
        pem = _content(api.tls.cert_file) + b"\n" + key
        for doubt in judge(pem, datetime.now(UTC)).doubts:
            yield f"api.tls.cert_file: {api.tls.cert_file}: {doubt}"


def _content(path: str) -> bytes:
    try:
        return read_bounded(Path(path), _FILE_MAX_BYTES)
    except OSError:
        return b""
