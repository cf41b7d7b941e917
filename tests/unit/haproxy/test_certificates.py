"""What a process is to do about its certificates, planned and carried out on a fake."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.haproxy.certificate_turn import Places, Served, read_running, serve_certificates
from lbctl.haproxy.certificates import (
    Running,
    Store,
    parse_names,
    parse_store,
    plan_certificates,
    plan_refresh,
    read_pem,
)
from tests.fakes.haproxy_certificates import CertificateRuntime
from tests.pems import issue

DIRECTORY = "/run/lbctl/haproxy/certs"
NAMES = ("a.pem", "b b.pem", "c.pem", "d.pem")
#: All for one name: the order counts.
ISSUED = [issue("x.example") for _ in range(4)]
CHOICES = [one.both for one in ISSUED]
KEYLESS = ISSUED[0].pem
SHOWN = """\
Filename: /certs/a.pem
Status: Used
Serial: 169CC83A72F140D582803E4F0A82C89FB709D413
notBefore: Nov 22 10:57:29 2026 GMT
notAfter: Dec  1 10:57:29 2026 GMT
Subject Alternative Name: DNS:A.example, DNS:*.a.example, IP Address:127.0.0.1
Algorithm: EC256
SHA1 FingerPrint: 4CB614EF8B7BCFF6094D6CC9E375645FC1E7801D
Subject: /O=o/CN=b.example
Issuer: /CN=inter
Chain Subject: /CN=inter
Chain Issuer: /CN=my ca
Chain Subject: /CN=my ca
Chain Issuer: /CN=my ca
OCSP Response Key:
"""

wishes = st.dictionaries(st.sampled_from(NAMES[1:]), st.sampled_from(CHOICES)).flatmap(
    lambda rest: st.sampled_from(CHOICES).map(lambda first: {NAMES[0]: first, **rest})
)


def serve(processes: list[CertificateRuntime], wanted: Mapping[str, bytes], root: Path) -> Served:
    return asyncio.run(serve_certificates(processes, wanted, Places(root)))


def started(root: Path, files: Mapping[str, bytes], count: int = 2) -> list[CertificateRuntime]:
    Places(root).write(files)
    return [CertificateRuntime.start(str(root), files) for _ in range(count)]


def fingerprints(root: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    return {f"{root}/{name}": read_pem(content).fingerprint for name, content in files.items()}


def order(process: CertificateRuntime) -> list[str]:
    """Which of the files, all for one name, HAProxy prefers."""
    return sorted(process.listed, key=lambda path: process.stores[path].since)


def test_what_haproxy_says_of_a_certificate_is_understood() -> None:
    assert parse_store(SHOWN) == Store(
        "/certs/a.pem",
        "4CB614EF8B7BCFF6094D6CC9E375645FC1E7801D",
        chain=2,
        names=frozenset({"a.example", "*.a.example", "b.example"}),
    )
    assert not parse_store("Filename: /a.pem\nStatus: Empty\n").is_used
    with pytest.raises(ValueError, match="not the description"):
        parse_store("Certificate not found\n")


def test_a_transaction_under_way_is_told_from_the_stores() -> None:
    text = "# transaction\n*/certs/a.pem\n# filename\n/certs/a.pem\n/certs/b.pem\n"

    assert parse_names(text) == (("/certs/a.pem", "/certs/b.pem"), "/certs/a.pem")
    assert parse_names("# filename\n") == ((), "")


def test_a_payload_has_the_blocks_and_no_empty_line() -> None:
    content = b"Bag Attributes\r\n\r\n" + ISSUED[0].both.replace(b"\n", b"\r\n\r\n") + b"# \xff\n"
    pem = read_pem(content)

    assert pem.text.encode() == ISSUED[0].both
    assert (pem.fingerprint, pem.chain) == (read_pem(ISSUED[0].both).fingerprint, 0)
    assert read_pem(b"garbage").fingerprint == ""


def test_a_key_is_in_no_repr() -> None:
    running = Running({"/c/a.pem": Store("/c/a.pem")}, {"/c": ("/c/a.pem",)})
    pems = {"a.pem": read_pem(ISSUED[0].both), "b.pem": read_pem(ISSUED[1].both)}
    plan = plan_certificates(running, pems)

    assert len(plan.steps) == 2
    assert "PRIVATE KEY" not in repr((plan, pems, Served(certs={"a.pem": ISSUED[0].both})))
    assert "PRIVATE KEY" in str(plan.steps[0].commands[0].payload)


def test_a_process_that_loads_nothing_from_the_directory_has_nothing_to_do() -> None:
    plan = plan_certificates(Running(), {"a.pem": read_pem(ISSUED[0].both)})

    assert not plan.steps
    assert not plan.reasons


def test_what_the_configuration_itself_names_is_replaced_and_not_removed() -> None:
    running = Running({"/c/a.pem": Store("/c/a.pem"), "/c/b.pem": Store("/c/b.pem")})
    plan = plan_certificates(running, {"a.pem": read_pem(ISSUED[0].both)})

    assert [(step.kind, step.spelled) for step in plan.steps] == [("replace", "/c/a.pem")]


def test_only_those_behind_and_for_the_same_name_are_set_again() -> None:
    names = {"a": {"x", "q"}, "b": {"x"}, "c": {"x", "y"}, "d": {"z"}, "e": {"y"}, "f": {"q"}}
    stores = {
        f"/c/{name}.pem": Store(f"/c/{name}.pem", "F", names=frozenset(those))
        for name, those in names.items()
    }
    pems = {f"{name}.pem": read_pem(ISSUED[0].both) for name in names}
    plan = plan_refresh(Running(stores), pems, {"b.pem"})

    assert [step.name for step in plan.steps] == ["c.pem", "e.pem"]


@settings(max_examples=60, deadline=None)
@given(wishes, wishes)
def test_whatever_is_wanted_is_served_as_after_a_restart(
    before: dict[str, bytes], wanted: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        processes = started(root, before)
        served = serve(processes, wanted, root)

        assert not served.refused
        assert not served.reasons
        assert Places(root).read() == wanted
        for process in processes:
            assert process.shown() == fingerprints(root, wanted)
            assert [Path(one).name for one in order(process)] == sorted(wanted)
        assert serve(processes, wanted, root).did == ()


@settings(max_examples=100, deadline=None)
@given(wishes, wishes, st.integers(0, 40), st.integers(0, 1))
def test_a_turn_that_ends_anywhere_is_finished_by_the_next(
    before: dict[str, bytes], wanted: dict[str, bytes], budget: int, dies: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        processes = started(root, before)
        processes[dies].budget = budget
        serve(processes, wanted, root)
        processes[dies].budget = 1_000_000
        served = serve(processes, wanted, root)

        assert not served.refused
        assert Places(root).read() == wanted
        assert [process.shown() for process in processes] == [fingerprints(root, wanted)] * 2
        assert [process.transaction for process in processes] == [None, None]


@settings(max_examples=40, deadline=None)
@given(wishes, wishes, st.sampled_from(NAMES))
def test_one_that_is_refused_keeps_nothing_else_from_being_served(
    before: dict[str, bytes], wanted: dict[str, bytes], bad: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        processes = started(root, before)
        served = serve(processes, {**wanted, bad: KEYLESS}, root)
        kept = {bad: before[bad]} if bad in before else {}
        expected = {one: pem for one, pem in wanted.items() if one != bad} | kept

        assert [Path(one.where).name for one in served.refused] == [bad]
        assert served.certs == Places(root).read() == expected
        assert [process.shown() for process in processes] == [fingerprints(root, expected)] * 2


def test_nobody_there_means_that_the_files_are_new_for_the_next_start(tmp_path: Path) -> None:
    processes = started(tmp_path, {"a.pem": CHOICES[0]})
    for process in processes:
        process.budget = 0

    served = serve(processes, {"a.pem": CHOICES[1]}, tmp_path)

    assert len(served.absent) == 2
    assert Places(tmp_path).read() == {"a.pem": CHOICES[1]}


@pytest.mark.parametrize("budget", range(4, 10))
def test_a_process_that_dies_meanwhile_does_not_speak_for_the_others(
    tmp_path: Path, budget: int
) -> None:
    processes = started(tmp_path, {"a.pem": CHOICES[0]})
    processes[0].budget = budget

    serve(processes, {"a.pem": CHOICES[1], "c.pem": CHOICES[2]}, tmp_path)

    wanted = {"a.pem": CHOICES[1], "c.pem": CHOICES[2]}
    assert Places(tmp_path).read() == wanted
    assert processes[1].shown() == fingerprints(tmp_path, wanted)


def test_a_transaction_that_was_left_behind_is_not_mixed_with_the_next(tmp_path: Path) -> None:
    processes = started(tmp_path, {"a.pem": CHOICES[0], "c.pem": CHOICES[1]}, 1)
    processes[0].transaction = (f"{tmp_path}/c.pem", read_pem(CHOICES[3]))
    wanted = {"a.pem": CHOICES[2], "c.pem": CHOICES[1]}

    served = serve(processes, wanted, tmp_path)

    assert not served.refused
    assert processes[0].shown() == fingerprints(tmp_path, wanted)


def test_a_chain_that_is_missing_is_seen_though_the_files_are_as_they_should_be() -> None:
    middle = issue(subject="middle")
    pem = read_pem(ISSUED[0].pem + middle.pem + ISSUED[0].key)
    short = Store("/c/a.pem", pem.fingerprint, chain=0)
    more = Store("/c/a.pem", pem.fingerprint, chain=2)

    assert plan_certificates(Running({"/c/a.pem": short}), {"a.pem": pem}).steps
    assert not plan_certificates(Running({"/c/a.pem": more}), {"a.pem": pem}).steps


def test_processes_that_differ_are_each_brought_into_line(tmp_path: Path) -> None:
    wanted = {"a.pem": CHOICES[0], "c.pem": CHOICES[1]}
    old = CertificateRuntime.start(str(tmp_path), {"a.pem": CHOICES[2], "d.pem": CHOICES[3]})
    processes = [*started(tmp_path, wanted, 1), old]

    serve(processes, wanted, tmp_path)

    assert old.shown() == fingerprints(tmp_path, wanted)
    assert processes[0].asked == []


def test_a_directory_is_known_by_whatever_name_the_configuration_has_for_it(
    tmp_path: Path,
) -> None:
    certs = tmp_path / "run" / "certs"
    certs.mkdir(parents=True)
    (tmp_path / "link").symlink_to("run")
    places = Places(certs, also=(tmp_path / "own",), start=tmp_path / "run")

    assert all(places.hold(name) for name in (str(certs), "certs", f"{tmp_path}/link/certs"))
    assert places.hold(f"{tmp_path}/own")
    assert not places.hold("/etc/ssl")
    process = CertificateRuntime.start("certs", {"a.pem": CHOICES[0]})
    assert list(asyncio.run(read_running(process, places)).stores) == ["certs/a.pem"]


def test_files_are_put_back_as_they_were(tmp_path: Path) -> None:
    places = Places(tmp_path)
    first = {"a.pem": b"\xff one", "b.pem": b"two"}
    places.write(first)
    (tmp_path / "notes.txt").write_text("mine")

    before = places.write({"a.pem": b"new", "c.pem": b"three"})
    places.write(before)

    assert before == first == places.read()
    assert (tmp_path / "notes.txt").exists()
    assert Places(tmp_path / "nowhere").read() == {}
