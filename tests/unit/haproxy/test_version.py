from __future__ import annotations

from pathlib import Path

import pytest

from lbctl.errors import ValidationError
from lbctl.haproxy.version import parse_version, read_version


@pytest.mark.parametrize(
    ("said", "version", "text", "model"),
    [
        ("HAProxy version 2.6.12-1+deb12u2 2023/12/16", "2.6.12", "2.6.12-1+deb12u2", "processes"),
        ("HA-Proxy version 2.2.9-2+deb11u6 2023/04/10", "2.2.9", "2.2.9-2+deb11u6", "nbproc"),
        ("HAProxy version 2.4.0 2021/05/14", "2.4.0", "2.4.0", "nbproc"),
        ("HAProxy version 2.5.0 2021/11/23", "2.5.0", "2.5.0", "processes"),
        ("HAProxy version 3.0.11-1 2025/06/02", "3.0.11", "3.0.11-1", "processes"),
        ("HAProxy version 3.3-dev5-1b0 2025/07/28", "3.3.5", "3.3-dev5-1b0", "processes"),
    ],
)
def test_both_spellings_are_read(said: str, version: str, text: str, model: str) -> None:
    read = parse_version(f"{said} - https://haproxy.org/\nStatus: stable\n")

    assert read is not None
    assert (version, text, model) == (str(read), read.text, read.model)


def test_versions_are_ordered_by_number_not_by_text() -> None:
    old = parse_version("HAProxy version 2.9.15 2025/01/29")
    new = parse_version("HAProxy version 2.10.0 2025/01/29")

    assert old is not None
    assert new is not None
    assert old < new


@pytest.mark.parametrize(
    ("number", "has_exporter"), [("2.2.9", False), ("2.4.0", True), ("2.6.12", True)]
)
def test_the_exporter_counts_from_2_4(number: str, has_exporter: bool) -> None:
    said = f"HAProxy version {number} x\nBuilt with the Prometheus exporter as a service\n"
    version = parse_version(said)

    assert version is not None
    assert has_exporter == version.has_exporter


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("2.4.0", "process file"),
        ("2.6.12", "process file"),
        ("2.7.0", "first file"),
        ("2.9.15", "first file"),
        ("3.0.0", "limit"),
        ("3.2.1", "limit"),
    ],
)
def test_each_version_is_told_its_threads_where_it_listens(number: str, expected: str) -> None:
    version = parse_version(f"HAProxy version {number} x\n")

    assert version is not None
    assert expected == version.threads_in


def test_a_build_without_the_exporter_is_told_apart() -> None:
    version = parse_version("HAProxy version 2.6.12 x\nBuilt with network namespace support.\n")

    assert version is not None
    assert not version.has_exporter


def test_other_programs_have_no_version() -> None:
    assert parse_version("nginx version: nginx/1.22.1") is None


def test_a_missing_program_names_the_debian_package() -> None:
    with pytest.raises(ValidationError, match="install the Debian package haproxy"):
        read_version("/nonexistent/haproxy")


def test_a_program_that_is_not_haproxy_is_refused_with_what_it_said(tmp_path: Path) -> None:
    other = tmp_path / "haproxy"
    other.write_text("#!/bin/sh\necho not me; exit 3\n")
    other.chmod(0o755)

    with pytest.raises(ValidationError, match=r"exit 3, it said 'not me'"):
        read_version(str(other))


def test_a_program_that_cannot_start_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "haproxy"
    other.write_text("")

    with pytest.raises(ValidationError, match="Permission denied"):
        read_version(str(other))
