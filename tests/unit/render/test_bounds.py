"""An operator's template is a program, and is ended where it does not end."""

from __future__ import annotations

import resource
import signal

import pytest

from lbctl.errors import RenderError
from lbctl.render.engine import render_text

LOOP = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"
MUCH = "{% set n = namespace(s='a' * 1000000) %}{% for i in range(20) %}{% set n.s = n.s ~ n.s %}\n"


def rendered(text: str) -> str:
    return render_text("haproxy.cfg.j2", {"haproxy.cfg.j2": text}, {})


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LOOP, "haproxy.cfg.j2:1: not done after 2 s of processor time: nothing was written"),
        (MUCH + "{% endfor %}", "haproxy.cfg.j2:1: takes more than 512 MB of memory"),
        ("{{ 'a' * 10 ** 11 }}", "haproxy.cfg.j2:1: takes more than 512 MB of memory"),
    ],
)
def test_one_without_an_end_is_ended_and_says_where(text: str, what: str) -> None:
    with pytest.raises(RenderError, match=what):
        rendered(text)


def test_a_bound_ends_with_the_template() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)
    rendered("{{ 1 + 1 }}")
    after = resource.getrlimit(resource.RLIMIT_AS), signal.getsignal(signal.SIGVTALRM)

    assert after == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
