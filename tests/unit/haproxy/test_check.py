from __future__ import annotations

import pytest

from lbctl.haproxy.check import read_messages

AS_2_6 = """\
[NOTICE]   (7163) : haproxy version is 2.6.12-1+deb12u4
[NOTICE]   (7163) : path to executable is /usr/sbin/haproxy
[WARNING]  (7163) : config : parsing [/run/h.cfg:3] : 'bind-process' is deprecated.
[ALERT]    (7163) : config : parsing [/run/h.cfg:16] : unknown keyword 'bnid' in 'listen' section
[ALERT]    (7163) : config : [/run/h.cfg:17] : 'server b/s' : could not resolve address 'x'.
[ALERT]    (7163) : config : proxy 'b': no such thing.
  It goes on here.
[ALERT]    (7163) : config : Fatal errors found in configuration.
"""
AS_2_2 = """\
[WARNING] 324/015404 (7165) : parsing [/run/h.cfg:3] : 'bind-process' is deprecated.
[ALERT] 324/015404 (7165) : parsing [/run/h.cfg:16] : unknown keyword 'bnid' in 'listen' section
[ALERT] 324/015404 (7165) : [/run/h.cfg:17] : 'server b/s' : could not resolve address 'x'.
[ALERT] 324/015404 (7165) : proxy 'b': no such thing.
  It goes on here.
"""


@pytest.mark.parametrize("said", [AS_2_6, AS_2_2])
def test_messages_of_both_formats_keep_file_and_line(said: str) -> None:
    messages = [m for m in read_messages(said) if m.level != "NOTICE"]

    assert [(m.level, m.where, m.text) for m in messages[:4]] == [
        ("WARNING", "/run/h.cfg:3", "'bind-process' is deprecated."),
        ("ALERT", "/run/h.cfg:16", "unknown keyword 'bnid' in 'listen' section"),
        ("ALERT", "/run/h.cfg:17", "'server b/s' : could not resolve address 'x'."),
        ("ALERT", "", "proxy 'b': no such thing.\nIt goes on here."),
    ]


def test_a_file_is_shown_by_the_name_that_the_operator_knows() -> None:
    messages = read_messages(AS_2_2, {"/run/h.cfg": "haproxy.cfg"})

    assert next(iter(messages)).where == "haproxy.cfg:3"


def test_words_before_any_level_are_kept() -> None:
    (message,) = read_messages("haproxy: error while loading shared libraries\n")

    assert str(message) == "haproxy: error while loading shared libraries"
