"""Files with secrets that lb.yaml names: read, judged, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ValidationError
from lbctl.launch.identity import make_pair
from lbctl.launch.inputs import read_inputs
from lbctl.launch.secrets import read_secrets, secret_warnings
from lbctl.layout import ConfigDir
from lbctl.settings.discovery import Api, Consul, Discovery
from lbctl.settings.model import Settings

TOKEN = "discovery.consul.token_file"
A_DIRECTORY = "it is a directory; a file to mount that is missing becomes one"


def consul(**files: Path) -> Settings:
    named = {key: str(path) for key, path in files.items()}
    return Settings(discovery=Discovery(consul=Consul(**named)))  # type: ignore[arg-type]


def problems_of(settings: Settings) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        read_secrets(settings)
    return [str(one) for one in caught.value.problems]


def file(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def test_nothing_that_is_not_named_is_read() -> None:
    assert read_secrets(Settings()) == {}


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_token_is_read_without_the_end_of_its_line(tmp_path: Path, content: str) -> None:
    token = file(tmp_path / "token", content)
    settings = consul(token_file=token)

    assert read_secrets(settings) == {TOKEN: b"hunter2"}
    assert read_inputs(ConfigDir(tmp_path), settings).secrets == {TOKEN: b"hunter2"}
    assert "hunter2" not in repr(read_inputs(ConfigDir(tmp_path), settings))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"hunter 2", "must hold the token alone"),
        (b"hunter2\nX-Evil: 1", "must hold the token alone"),
        (b"hunter\xff", "must hold the token alone"),
        (b"h" * (1 << 20) + b"hh", "it is longer than 1 MB"),
    ],
)
def test_a_file_without_a_token_is_refused_and_not_quoted(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    (problem,) = problems_of(consul(token_file=file(tmp_path / "token", content)))

    assert problem.startswith(f"{TOKEN}: {tmp_path}/token: ")
    assert expected in problem
    assert "hunter" not in problem


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "made-by-docker").mkdir()
    settings = Settings(
        discovery=Discovery(consul=Consul(token_file=str(tmp_path / "made-by-docker"))),
        api=Api(bind=":1", token_file=str(tmp_path / "none")),
    )

    assert problems_of(settings) == [
        f"{TOKEN}: {tmp_path}/made-by-docker: {A_DIRECTORY}",
        f"api.token_file: {tmp_path}/none: cannot be read: No such file or directory",
    ]


def test_a_certificate_needs_its_own_key(tmp_path: Path) -> None:
    pair, other = make_pair("a"), make_pair("b")
    begin = pair.index("-----BEGIN CERTIFICATE")
    key_first = pair.startswith("-----BEGIN PRIVATE")
    end = pair.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    certificate = file(tmp_path / "cert.pem", pair[begin:end])
    key = file(tmp_path / "key.pem", pair[:begin] if key_first else pair[end:])
    both, wrong = file(tmp_path / "both.pem", pair), file(tmp_path / "wrong.pem", other)

    assert len(read_secrets(consul(cert_file=certificate, key_file=key, ca_file=certificate))) == 3
    assert len(read_secrets(consul(cert_file=both))) == 1
    (alone,) = problems_of(consul(cert_file=certificate))
    (mixed,) = problems_of(consul(cert_file=certificate, key_file=wrong))
    (no_ca,) = problems_of(consul(ca_file=key))
    assert alone.startswith(f"discovery.consul.cert_file: {certificate}: no certificate and key")
    assert f"{certificate} with {wrong}: no certificate and key: " in mixed
    assert no_ca.startswith(f"discovery.consul.ca_file: {key}: holds no certificate")


def test_a_file_that_every_user_may_read_is_warned_of(tmp_path: Path) -> None:
    open_to_all, closed = file(tmp_path / "a", "x", 0o644), file(tmp_path / "b", "x", 0o640)

    (warning,) = secret_warnings(
        Settings(
            discovery=Discovery(consul=Consul(token_file=str(open_to_all))),
            api=Api(token_file=str(closed)),
        )
    )
    assert warning == (
        f"{TOKEN}: {open_to_all}: every user of this host may read it: chmod o-r {open_to_all}"
    )
    assert not list(secret_warnings(consul(ca_file=open_to_all)))
