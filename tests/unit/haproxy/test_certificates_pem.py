"""Which files of certificates are fit to be served."""

from __future__ import annotations

import datetime
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from lbctl.haproxy.pem import Choice, Verdict, choose, judge
from tests.pems import NOW, issue, key_pem, weak_key

ROOT_CA = issue(subject="my root")
MIDDLE = issue(subject="my middle", by=ROOT_CA)
LEAF = issue("a.example", by=MIDDLE)
OTHER = issue("b.example")
PLAIN = issue("a.example")
EXPIRED = issue("a.example", days=(-9, -2))
TRADITIONAL = LEAF.private.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.NoEncryption(),
)
GARBLED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

FIT = {
    "certificate and key": PLAIN.both,
    "key first": PLAIN.key + PLAIN.pem,
    "chain": LEAF.pem + MIDDLE.pem + LEAF.key,
    "chain with its root": LEAF.pem + MIDDLE.pem + ROOT_CA.pem + LEAF.key,
    "key in the midst": LEAF.pem + LEAF.key + MIDDLE.pem,
    "key of the old kind": LEAF.pem + MIDDLE.pem + TRADITIONAL,
    "another curve": issue("a.example", private=ec.generate_private_key(ec.SECP521R1())).both,
    "words between": b"Bag Attributes\n\n" + PLAIN.pem + b"\n# key\n\n" + PLAIN.key,
    "lines of Windows": PLAIN.both.replace(b"\n", b"\r\n"),
}

UNFIT = {
    "holds no certificate": PLAIN.key,
    "holds no private key": PLAIN.pem,
    "does not belong to its certificate": PLAIN.pem + OTHER.key,
    "number 2 is the one that the key belongs to": MIDDLE.pem + LEAF.pem + LEAF.key,
    "certificate number 2 cannot be read": PLAIN.pem + GARBLED + PLAIN.key,
    "locked with a passphrase": PLAIN.pem + key_pem(PLAIN.private, b"secret"),
    "private key cannot be read": PLAIN.pem + GARBLED.replace(b"CERTIFICATE", b"PRIVATE KEY"),
}

DOUBTFUL = {
    "it expired on": EXPIRED.both,
    "not valid before": issue("a.example", days=(2, 9)).both,
    "certificate number 2 is 'CN=my root', and number 1 was issued by 'CN=my middle'": (
        LEAF.pem + ROOT_CA.pem + LEAF.key
    ),
    "has 1024 bits": issue("a.example", private=weak_key()).both,
}


@pytest.mark.parametrize("pem", FIT.values(), ids=FIT)
def test_a_whole_file_is_taken(pem: bytes) -> None:
    assert judge(pem, NOW) == Verdict()


@pytest.mark.parametrize(("what", "pem"), UNFIT.items(), ids=UNFIT)
def test_what_haproxy_would_not_load_is_a_fault(what: str, pem: bytes) -> None:
    verdict = judge(pem, NOW)

    assert what in "; ".join(verdict.faults)
    assert not verdict.doubts


@pytest.mark.parametrize(("what", "pem"), DOUBTFUL.items(), ids=DOUBTFUL)
def test_what_clients_would_not_believe_is_a_doubt(what: str, pem: bytes) -> None:
    verdict = judge(pem, NOW)

    assert what in "; ".join(verdict.doubts)
    assert not verdict.faults


def test_every_fault_is_told_at_once() -> None:
    assert len(judge(GARBLED, NOW).faults) == 2


def test_a_refused_file_leaves_the_one_before_and_keeps_no_other_back() -> None:
    old = {"a.pem": PLAIN.both, "gone.pem": OTHER.both}
    new = {"a.pem": PLAIN.pem, "b.pem": OTHER.both, "c.pem": b"garbage"}

    choice = choose(old, new, NOW)

    assert choice.certs == {"a.pem": PLAIN.both, "b.pem": OTHER.both}
    assert {problem.where for problem in choice.problems} == {"certs/a.pem", "certs/c.pem"}
    assert choice.problems[0].what.endswith("the one before goes on being served")
    assert choice.problems[-1].what.endswith("it is not served")


@pytest.mark.parametrize("pem", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubtful_file_never_replaces_a_good_one(pem: bytes) -> None:
    choice = choose({"a.pem": PLAIN.both}, {"a.pem": pem}, NOW)

    assert choice.certs == {"a.pem": PLAIN.both}
    assert len(choice.problems) == 1
    assert not choice.warnings


@pytest.mark.parametrize("before", [{}, {"a.pem": EXPIRED.both}], ids=["nothing", "an expired one"])
def test_a_doubtful_file_is_better_than_none_and_told(before: dict[str, bytes]) -> None:
    doubtful = issue("a.example", days=(-9, -1)).both

    choice = choose(before, {"a.pem": doubtful}, NOW)

    assert choice.certs == {"a.pem": doubtful}
    assert not choice.problems
    assert "expired" in choice.warnings[0].what


def test_what_did_not_change_is_served_on_though_it_expired_meanwhile() -> None:
    later = NOW + datetime.timedelta(days=90)

    choice = choose({"a.pem": PLAIN.both}, {"a.pem": PLAIN.both}, later)

    assert (choice.certs, choice.problems) == ({"a.pem": PLAIN.both}, ())


def test_an_empty_directory_ends_tls_only_where_somebody_asks_for_it() -> None:
    old = {"a.pem": PLAIN.both}

    held = choose(old, {}, NOW, "/haproxy/certs", may_end=False)

    assert held.certs == old
    assert "until `lbctl reload`" in held.problems[0].what
    assert choose(old, {}, NOW) == Choice({}, (), ())
    assert choose({}, {}, NOW, may_end=False) == Choice({}, (), ())


@given(st.binary(max_size=300), st.integers(0, 4))
def test_whatever_is_in_a_file_is_judged_and_its_key_is_never_told(junk: bytes, place: int) -> None:
    parts = [PLAIN.pem, PLAIN.key]
    cut = len(PLAIN.both) * place // 4
    texts = (junk, PLAIN.both[:cut] + junk + PLAIN.both[cut:], junk.join(parts))
    body = PLAIN.key.decode().splitlines()[1]

    for text in texts:
        said = str(choose({"a.pem": OTHER.both}, {"a.pem": text}, NOW).problems)
        assert body[:16] not in said


def test_what_a_daemon_loads_for_certificates_is_without_cryptography() -> None:
    code = (
        "import sys, lbctl.haproxy.certificate_turn, lbctl.follow.certwatch; "
        "print('cryptography' in sys.modules)"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20)

    assert done.stdout == "False\n"
