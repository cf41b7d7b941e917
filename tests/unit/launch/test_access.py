"""What of the API over TCP is worth a warning, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ValidationError
from lbctl.launch.access import access_warnings
from lbctl.launch.secrets import read_pair, read_secrets
from lbctl.settings.discovery import Api, ApiTls
from lbctl.settings.model import Settings
from tests.pems import issue, weak_key

GOOD, OTHER = issue("lb.example.com"), issue("other.example.com")
TOKEN = b"0123456789abcdef"


def file(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def settings(
    root: Path, bind: str = "127.0.0.1:1", tls: ApiTls | None = None, **tokens: bytes
) -> Settings:
    named = {name: file(root / name, content) for name, content in tokens.items()}
    return Settings(api=Api(bind=bind, tls=tls or ApiTls(), **named))  # type: ignore[arg-type]


@pytest.mark.parametrize("bind", ["127.0.0.1:9000", "127.9.9.9:9000", "[::1]:9000"])
def test_on_this_host_alone_tls_is_not_missed(tmp_path: Path, bind: str) -> None:
    assert not [*access_warnings(settings(tmp_path, bind, token_file=TOKEN))]


@pytest.mark.parametrize("bind", [":9000", "*:9000", "0.0.0.0:9000", "10.0.0.1:9000", "[::]:9000"])
def test_beyond_this_host_a_token_without_tls_is_warned_of(tmp_path: Path, bind: str) -> None:
    (warning,) = access_warnings(settings(tmp_path, bind, token_file=TOKEN))

    assert warning == (
        f"api.bind = {bind!r}: without api.tls.cert_file whoever reads on that network learns the "
        "token"
    )


def test_with_tls_nothing_is_warned_of(tmp_path: Path) -> None:
    tls = ApiTls(cert_file=file(tmp_path / "pem", GOOD.both))

    assert not [*access_warnings(settings(tmp_path, ":9000", tls, token_file=TOKEN))]


def test_without_tcp_nothing_is_looked_at(tmp_path: Path) -> None:
    assert not [*access_warnings(Settings(api=Api(token_file=file(tmp_path / "t", b"x"))))]


@pytest.mark.parametrize("name", ["token_file", "read_token_file"])
def test_a_short_token_is_warned_of_and_not_shown(tmp_path: Path, name: str) -> None:
    (warning,) = access_warnings(settings(tmp_path, **{name: b"hunter2hunter2h\n"}))  # type: ignore[arg-type]

    assert warning.startswith(f"api.{name}: {tmp_path}/{name}: a token of less than 16 characters")
    assert "hunter" not in warning


def test_an_end_of_line_makes_no_token_longer(tmp_path: Path) -> None:
    assert [*access_warnings(settings(tmp_path, token_file=TOKEN[:15] + b"\r\n"))]
    assert not [*access_warnings(settings(tmp_path, token_file=TOKEN + b"\r\n"))]


@pytest.mark.parametrize(
    ("pem", "expected"),
    [
        (issue("a", days=(-9, -1)).both, "it expired on"),
        (issue("a", days=(1, 9)).both, "it is not valid before"),
        (GOOD.pem + OTHER.pem + GOOD.key, "its chain is broken"),
    ],
)
def test_what_clients_would_not_believe_is_warned_of(
    tmp_path: Path, pem: bytes, expected: str
) -> None:
    tls = ApiTls(cert_file=file(tmp_path / "pem", pem))
    found = settings(tmp_path, ":1", tls, token_file=TOKEN)

    (warning,) = access_warnings(found)
    assert warning.startswith(f"api.tls.cert_file: {tmp_path}/pem: {expected}")
    assert len(read_secrets(found)) == 2


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        (GOOD.pem, OTHER.key),
        (GOOD.pem, None),
        (GOOD.key, None),
        (b"nonsense", GOOD.key),
        (OTHER.pem + GOOD.pem, GOOD.key),
    ],
)
def test_a_pair_that_cannot_be_shown_is_refused(
    tmp_path: Path, certificate: bytes, key: bytes | None
) -> None:
    key_file = None if key is None else file(tmp_path / "key", key)
    tls = ApiTls(cert_file=file(tmp_path / "pem", certificate), key_file=key_file)
    found = settings(tmp_path, ":1", tls, token_file=TOKEN)

    for read in (read_secrets, read_pair):
        with pytest.raises(ValidationError, match="no certificate and key") as caught:
            read(found)
        (problem,) = caught.value.problems
        assert problem.where == "api.tls.cert_file"
        assert "PRIVATE" not in str(problem)


def test_the_same_token_for_both_is_refused_and_not_quoted(tmp_path: Path) -> None:
    found = settings(tmp_path, token_file=TOKEN, read_token_file=TOKEN + b"\n")

    with pytest.raises(ValidationError) as caught:
        read_secrets(found)
    (problem,) = caught.value.problems
    assert str(problem) == (
        f"api.read_token_file: {tmp_path}/read_token_file: holds the token of api.token_file: "
        "whoever is to look only needs one of his own"
    )


def test_files_that_are_not_there_are_no_warning(tmp_path: Path) -> None:
    """The refusal says it."""
    tls = ApiTls(cert_file=f"{tmp_path}/none", key_file=f"{tmp_path}/none")
    api = Api(bind="127.0.0.1:1", token_file=f"{tmp_path}/none", tls=tls)

    assert not [*access_warnings(Settings(api=api))]


def test_a_key_that_openssl_takes_no_more_is_refused(tmp_path: Path) -> None:
    tls = ApiTls(cert_file=file(tmp_path / "pem", issue("a", private=weak_key()).both))

    with pytest.raises(ValidationError, match="no certificate and key"):
        read_pair(settings(tmp_path, ":1", tls, token_file=TOKEN))
