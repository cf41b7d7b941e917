"""Our small XML-RPC says what the standard library's says."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.bundle.xmlrpc import FaultError, decode_reply, encode_call

# What XML can carry; \r is normalised by every parser.
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]))
SCALARS = TEXT | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(VALUES)
def test_a_reply_is_read_as_it_was_written(value: Any) -> None:
    assert decode_reply(xmlrpc.client.dumps((value,), methodresponse=True).encode()) == value


@given(st.lists(TEXT | st.booleans(), max_size=4))
def test_a_call_is_understood_by_the_standard_library(params: list[str | bool]) -> None:
    back, method = xmlrpc.client.loads(encode_call("supervisor.a", *params))

    assert (list(back), method) == (params, "supervisor.a")


def test_a_fault_is_raised_with_its_code_and_text() -> None:
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(10, "BAD_NAME: x")).encode()
    with pytest.raises(FaultError, match=r"BAD_NAME: x \(fault 10\)") as caught:
        decode_reply(body)

    assert caught.value.code == 10


def test_a_value_without_a_type_is_a_string() -> None:
    body = b"<methodResponse><params><param><value>a b</value></param></params></methodResponse>"

    assert decode_reply(body) == "a b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"<methodResponse/>",
        b"<methodResponse><value><int>x</int></value></methodResponse>",
        b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
        b"<methodResponse><struct><member><name>a</name></member></struct></methodResponse>",
        b"<a><array><int>1</int></array><array/></a>",
        b"\xff\xfe",
    ],
)
def test_anything_else_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an XML-RPC"):
        decode_reply(body)
