from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.errors import RenderError
from lbctl.haproxy.lines import read, split_words
from lbctl.layout import RunDir
from lbctl.model.target import BEGIN, END
from lbctl.render.haproxy import process_files, quote
from lbctl.settings.model import Haproxy, Http, Settings, Stats
from lbctl.spec import HaproxyProcess
from tests.generated import generated_cfg

FIXTURES = Path(__file__).parent / "fixtures"
RUN = RunDir(Path("/run/lbctl"))


def _process(number: int, *, cpu: int | None = None) -> HaproxyProcess:
    return HaproxyProcess(
        number=number,
        program=f"haproxy-{number:02d}",
        socket=f"/run/lbctl/haproxy/{number:02d}.sock",
        stats_host="127.0.0.1",
        stats_port=8000 + number,
        cpu=cpu,
    )


def _stats(bind: str = "127.0.0.1", user: str = "admin") -> Settings:
    return Settings(haproxy=Haproxy(stats=Stats(bind=bind, user=user)))


def _one(settings: Settings, password: str | None = None) -> str:
    (text,) = process_files(
        [_process(1)], settings, RUN, is_nbproc=False, password=password
    ).values()
    return text


def _matches_golden(name: str, text: str) -> None:
    """LBCTL_GOLDEN=write writes what is compared otherwise; read the difference before commit."""
    golden = FIXTURES / name
    if os.environ.get("LBCTL_GOLDEN") == "write":
        golden.write_text(text)

    assert golden.read_text() == text


def test_each_process_has_a_file_of_its_own() -> None:
    files = process_files(
        [_process(1, cpu=2), _process(2, cpu=3)],
        Settings(),
        RUN,
        is_nbproc=False,
        password="a b'c\"d$e\\f#g",
        has_exporter=True,
    )

    assert [path.name for path in files] == ["proc-01.cfg", "proc-02.cfg"]
    _matches_golden("proc-02.cfg", files[RUN.process_cfg(2)])


def test_without_password_cpu_and_exporter_their_lines_are_absent() -> None:
    _matches_golden("proc-01-plain.cfg", _one(Settings()))


def test_under_nbproc_one_file_pins_every_listener_and_socket() -> None:
    files = process_files(
        [_process(1, cpu=0), _process(2, cpu=1)], Settings(), RUN, is_nbproc=True, password="p"
    )

    assert list(files) == [RUN.process_cfg(0)]
    _matches_golden("nbproc.cfg", files[RUN.process_cfg(0)])


def test_one_process_under_nbproc_may_have_threads() -> None:
    settings = Settings(haproxy=Haproxy(threads=3))
    (text,) = process_files([_process(1)], settings, RUN, is_nbproc=True).values()

    assert "    nbthread 3\n" in text


def test_where_a_second_file_cannot_set_threads_it_limits_them() -> None:
    (text,) = process_files(
        [_process(1)],
        Settings(haproxy=Haproxy(threads=3)),
        RUN,
        is_nbproc=False,
        threads_in="limit",
    ).values()

    assert "    thread-hard-limit 3\n" in text
    assert "nbthread" not in text


def test_where_only_a_first_file_can_set_threads_there_is_one() -> None:
    settings = Settings(haproxy=Haproxy(threads=3))
    files = process_files([_process(1)], settings, RUN, is_nbproc=False, threads_in="first file")

    assert files.pop(RUN.threads_cfg) == "global\n    nbthread 3\n"
    assert all("thread" not in text for text in files.values())


def test_what_is_added_ends_the_operators_defaults_before_it_listens() -> None:
    keywords = [line.words for line in read(_one(Settings())) if line.opens_section]

    assert keywords == [("global",), ("defaults",), ("listen", "lbctl-stats-01")]


@pytest.mark.parametrize(
    ("bind", "line"),
    [
        ("127.0.0.1", "bind 127.0.0.1:8001"),
        ("*", "bind *:8001"),
        ("::", "bind [::]:8001"),
        ("::1", "bind [::1]:8001"),
        ("[fd00::1]", "bind [fd00::1]:8001"),
    ],
)
def test_any_address_can_be_bound(bind: str, line: str) -> None:
    assert f"    {line}\n" in _one(_stats(bind))


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), min_size=1))
def test_a_quoted_text_is_one_word_again(text: str) -> None:
    assert (text,) == split_words(quote(text))


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "\x7f"])
def test_control_characters_cannot_be_quoted_and_are_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"^control characters cannot be quoted"):
        quote(text)


@pytest.mark.parametrize("password", ["", "two\nlines", "nul\x00"])
def test_a_password_that_cannot_be_used_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(RenderError) as caught:
        _one(Settings(), password)

    assert str(caught.value) == (
        "haproxy.stats.password_file: the password must be one line, not empty and without "
        "control characters"
    )


def test_a_user_with_a_colon_is_refused() -> None:
    with pytest.raises(RenderError, match=r"haproxy\.stats\.user: 'a:b'"):
        _one(_stats(user="a:b"), "p")


def test_the_generated_configuration_without_certificates() -> None:
    _matches_golden("haproxy.cfg", generated_cfg(Settings(), RUN, has_certs=False))


def test_the_generated_configuration_with_certificates() -> None:
    settings = Settings(http=Http(bind="[::]:8080", tls_bind="192.0.2.1:8443"))

    _matches_golden("haproxy-tls.cfg", generated_cfg(settings, RUN, has_certs=True))


def test_the_operators_template_sees_settings_services_and_paths() -> None:
    main = "{% include 'part.j2' %} {{ services | length }} {{ nginx_socket | quote }} {{ certs }}"
    template = {"haproxy.cfg.j2": main, "part.j2": "{{ settings.haproxy.maxconn }}"}

    text = generated_cfg(Settings(), RUN, has_certs=True, template=template)

    first, *rest = text.splitlines()
    assert first == '4096 0 "/run/lbctl/nginx/http.sock" /run/lbctl/haproxy/certs/'
    assert rest == [BEGIN, END]


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("global\n{{ setings.x }}\n", "haproxy.cfg.j2:2: 'setings' is undefined: nothing was"),
        ("global\n\n{{ settings.nope }}\n", "haproxy.cfg.j2:3: "),
        ("{% if %}\n", "haproxy.cfg.j2:1: "),
        ("global\n{% for x in services %}\n", "haproxy.cfg.j2:2: "),
        ("\n{{ 1 / 0 }}", "haproxy.cfg.j2:2: ZeroDivisionError: division by zero"),
        ("\n{% include 'gone.j2' %}", "haproxy.cfg.j2:2: template gone.j2 is not in the"),
        ("{{ 'a\nb' | quote }}", "ValueError: control characters cannot be quoted"),
        ("\n{{ ''.__class__.__mro__ }}", "haproxy.cfg.j2:2: "),
    ],
)
def test_a_failed_template_names_file_and_line(template: str, says: str) -> None:
    texts = {"haproxy.cfg.j2": template}

    with pytest.raises(RenderError) as caught:
        generated_cfg(Settings(), RUN, has_certs=False, template=texts)

    assert says in str(caught.value)


def test_an_error_in_an_included_template_names_that_one() -> None:
    texts = {"haproxy.cfg.j2": "{% include 'part.j2' %}", "part.j2": "\n\n{{ nope }}"}

    with pytest.raises(RenderError, match=r"^part\.j2:3: 'nope' is undefined"):
        generated_cfg(Settings(), RUN, has_certs=False, template=texts)
