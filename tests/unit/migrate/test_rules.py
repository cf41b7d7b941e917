"""Each old construct: what it becomes, and what is refused."""

from __future__ import annotations

import pytest

from lbctl.migrate.engine import migrate

SECTIONS = {
    "global": "global\n{}\n",
    "defaults": "defaults\n{}\n",
    "frontend": "frontend f\n mode http\n{}\n",
    "backend": "backend b\n mode http\n{}\n",
    "tcpfront": "frontend f\n mode tcp\n{}\n",
    "tcp": "backend b\n mode tcp\n{}\n",
}

GOOD = [
    ("global", "nbproc 4", []),
    ("global", "nbthread 4", []),
    ("global", "cpu-map 1 0", []),
    ("global", "stats bind-process 1", []),
    ("global", "stats socket /run/h.sock level admin", []),
    ("global", "pidfile /run/h.pid", []),
    ("global", "chroot /var/empty", []),
    ("global", "user haproxy", []),
    ("global", "group haproxy", []),
    ("global", "uid 99", []),
    ("global", "ulimit-n 1000", []),
    ("global", "debug", []),
    ("global", "nosepoll", []),
    ("global", "tune.chksize 16384", []),
    ("global", "tune.zlib.memlevel 8", []),
    ("global", "tune.ssl.capture-cipherlist-size 800", ["tune.ssl.capture-buffer-size 800"]),
    ("frontend", "bind-process 1 2", []),
    ("frontend", "bind :80 process 1 # x", ["bind :80 # x"]),
    ("frontend", "bind :80 process odd ssl crt a", ["bind :80 ssl crt a"]),
    ("defaults", "contimeout\t5000 # ms", ["timeout connect\t5000 # ms"]),
    ("defaults", "clitimeout 50000", ["timeout client 50000"]),
    ("defaults", "srvtimeout 50000", ["timeout server 50000"]),
    ("defaults", "timeout contimeout 5s", ["timeout connect 5s"]),
    ("defaults", "timeout clitimeout 5s", ["timeout client 5s"]),
    ("defaults", "timeout srvtimeout 5s", ["timeout server 5s"]),
    ("defaults", "redispatch", ["option redispatch"]),
    ("defaults", "option forceclose", ["option httpclose"]),
    ("defaults", "no option forceclose", ["no option httpclose"]),
    ("defaults", "option http-tunnel", []),
    ("defaults", "no option http-tunnel", []),
    ("defaults", "no option http-use-htx", []),
    ("defaults", "option independant-streams", ["option independent-streams"]),
    ("frontend", "grace 5s", []),
    ("backend", "hash-type avalanche", ["hash-type map-based sdbm avalanche"]),
    (
        "frontend",
        "monitor-net 10.0.0.0/8",
        ["http-request return status 200 if { src 10.0.0.0/8 }"],
    ),
    ("frontend", "block if a or b", ["http-request deny if a or b"]),
    (
        "backend",
        r"option httpchk GET /h HTTP/1.1\r\nHost:\ a.b\r\nX-Y:\ 5%\ c # x",
        ["option httpchk GET /h HTTP/1.1 # x", "http-check send hdr Host a.b hdr X-Y '5%% c'"],
    ),
    (
        "backend",
        r"option httpchk POST / HTTP/1.0\r\nContent-Length:\ 2\r\n\r\nhi",
        ["option httpchk POST / HTTP/1.0", "http-check send body hi"],
    ),
    ("backend", r"reqrep ^([^\ ]*\ /)v1[/]?(.*)  \1\2", ["replace-pathq ^/v1[/]?(.*) /\\1"]),
    ("backend", r"reqrep ^([^\ :]*)\ /s/(.*)  \1\ /\2", ["replace-pathq ^/s/(.*) /\\1"]),
    ("backend", r"reqirep ^([^\ ]*)\ /s/(.*)  \1\ /\2", ["replace-pathq (?i)^/s/(.*) /\\1"]),
    ("backend", r"reqrep ^([^\ ]*\ )(.*) \1/x\2", ["replace-pathq ^(.*) /x\\1"]),
    (
        "backend",
        r"reqrep ^([^\ ]*)\ /a/([^\ ]*)\ HTTP/1\.[01]$ \1\ /b/\2\ HTTP/1.0",
        ["replace-pathq '^/a/([^ ]*)' /b/\\1"],
    ),
    (
        "backend",
        r"reqrep ^GET\ /a/(.*) GET\ /b/\1 if x || y",
        ["replace-pathq ^/a/(.*) /b/\\1 if { method GET } x || { method GET } y"],
    ),
    ("backend", r"reqrep ^Host:\ www\.(.*) Host:\ \1", ["replace-header Host ^www\\.(.*) \\1"]),
    ("backend", r"reqirep ^(Host:)\ .* \1\ x%y", ["replace-header Host ^.* x%%y"]),
    (
        "backend",
        r"rspirep ^Location:\ http://(.*) Location:\ https://\1",
        ["http-response replace-header Location (?i)^http://(.*) https://\\1"],
    ),
    ("backend", r"reqadd X-A:\ b\ c unless d", ["add-header X-A 'b c' unless d"]),
    ("backend", r"rspadd X-A:\ 1;2", ["http-response add-header X-A 1;2"]),
    (
        "backend",
        r"rspirep ^(Set-Cookie:.*) \1;\ Secure if x",
        ["http-response replace-header Set-Cookie ^(.*) '\\1; Secure' if x"],
    ),
    ("backend", r'reqadd X-A:\ "${NAME}$x"$', ['add-header X-A "${NAME}$x\\$"']),
    ("backend", r'reqrep ^([^\ ]*)\ /(.*) "\1 /$P/\2"', ['replace-pathq ^/(.*) "/$P/\\\\1"']),
    (
        "backend",
        r'option httpchk GET / "HTTP/1.1\r\nHost: $H"',
        ["option httpchk GET / HTTP/1.1", 'http-check send hdr Host "$H"'],
    ),
    ("frontend", 'monitor-net "$NET"', ['http-request return status 200 if { src "$NET" }']),
    ("backend", "reqidel ^X-Forwarded-For:.*", ["del-header X-Forwarded-For"]),
    ("backend", "reqdel ^X-Foo", ["del-header X-Foo -m beg"]),
    ("backend", "rspidel ^Server:", ["http-response del-header Server"]),
    (
        "backend",
        r"reqideny ^[^\ ]*\ /admin unless ok",
        ["deny if { pathq -m reg -i ^/admin } !ok"],
    ),
    ("backend", r"reqdeny ^GET\ /x", ["deny if { method GET } { pathq -m reg ^/x }"]),
    (
        "backend",
        r"reqideny ^Host:\ .*\.local",
        [r"deny if { req.fhdr(Host) -m reg -i ^.*\.local }"],
    ),
    ("backend", "reqtarpit ^X-Bad:", ["tarpit if { req.fhdr(X-Bad) -m found }"]),
    ("backend", r"reqallow ^Host:\ a$", ["allow if { req.fhdr(Host) -m reg ^a$ }"]),
    (
        "backend",
        r"rspideny ^Content-Type:\ image",
        ["http-response deny if { res.fhdr(Content-Type) -m reg -i ^image }"],
    ),
    ("tcp", r"reqadd X:\ y", []),
    ("tcp", r"reqrep a b", []),
    ("tcp", "block if a", []),
    ("backend", "server a a.b:80 check", ["server a a.b:80 check init-addr last,libc,none"]),
    (
        "backend",
        "server-template w 1-3 a.b:80",
        ["server-template w 1-3 a.b:80 init-addr last,libc,none"],
    ),
    ("backend", "server a a.b # c", ["server a a.b init-addr last,libc,none # c"]),
]

UNTOUCHED = [
    ("global", "daemon"),
    ("global", "quiet"),
    ("global", "maxconn 4096"),
    ("global", "stats timeout 30s"),
    ("defaults", "option httpclose"),
    ("defaults", "timeout connect 5000"),
    ("backend", "option httpchk GET / HTTP/1.0"),
    ("backend", "server a 10.0.0.1:80"),
    ("backend", "server a [::1]:80"),
    ("backend", "server a ::1:80"),
    ("backend", "server a localhost:80"),
    ("backend", "server a unix@x"),
    ("backend", "server a ipv4@a.b:80"),
    ("backend", "server a ${WEB}:80"),
    ("backend", 'server a "${WEB}:80"'),
    ("backend", "server-template w 1-3 10.0.0.1:80"),
    ("backend", "server a /run/x.sock"),
    ("backend", "server a *:80"),
    ("backend", "server a a.b:80 init-addr none"),
    ("backend", "no-such-word x y"),
    ("backend", "# reqrep a b"),
]

REFUSED = [
    ("frontend", "mode health", "http-request return"),
    ("tcpfront", "monitor-net 10.0.0.0/8", "each frontend"),
    ("defaults", "monitor-net 10.0.0.0/8", "each frontend"),
    ("backend", "appsession JSESSIONID len 52 timeout 3h", "cookie JSESSIONID prefix"),
    ("backend", "option http_proxy", "forward proxy"),
    ("backend", "option lb-agent-chk", "agent-check"),
    ("backend", r"option httpchk GET / HTTP/1.0\r\nnonsense", "is no header"),
    ("backend", "reqpass ^X", "unless"),
    ("frontend", "reqsetbe ^X b", "use_backend"),
    ("backend", "reqrep a b", "known forms"),
    ("backend", "reqrep ^Host:", "an expression and a text"),
    ("backend", r"reqrep ^Host:\ a X:\ b", "known forms"),
    ("backend", r"reqrep ^([^\ ]*)\ /a \1\ /b", "loses part"),
    ("backend", r"reqrep ^GET\ (.*) POST\ \1", "changes the method"),
    ("backend", r"reqrep ^([^\ ]*)\ /a/(.*) \1\ /\1/\2", "loses part"),
    ("backend", r"rsprep ^HTTP/1.1\ 404 HTTP/1.1\ 200", "known forms"),
    ("backend", "reqadd nonsense", "Name: value"),
    ("backend", r"reqdel ^Cookie:\ a=", "more than a header's name"),
    ("backend", "reqideny /etc/passwd", "known forms"),
    ("backend", r"rspidel ^Set-Cookie:\ IP=", "http-response del-header NAME if { res.fhdr"),
    ("backend", r"rspirep ^(Set-Cookie:.*)(;\ x) \1;\ y", "http-response replace-header"),
    ("backend", r"reqdeny ^Host:\ a unless b c", "write an acl"),
]


def lines_of(section: str, line: str) -> list[str]:
    """What *line* becomes; http-request is left out where it begins a line."""
    head = SECTIONS[section].partition("{}")[0]
    migration = migrate(SECTIONS[section].format(line))

    assert migration.problems == ()
    assert migration.text.startswith(head)
    return [one.removeprefix("http-request ") for one in migration.text[len(head) :].splitlines()]


@pytest.mark.parametrize(("section", "line", "expected"), GOOD)
def test_an_old_line_becomes_todays(section: str, line: str, expected: list[str]) -> None:
    is_plain = any(one.startswith("http-request ") for one in expected)
    expected = [one.removeprefix("http-request ") for one in expected] if is_plain else expected

    assert lines_of(section, line) == expected


@pytest.mark.parametrize(("section", "line", "expected"), GOOD)
def test_every_change_has_a_reason(section: str, line: str, expected: list[str]) -> None:
    changed = [one for one in migrate(SECTIONS[section].format(line)).placed if one.is_changed]

    assert [one.row.text for one in changed] == [line]
    assert all(changed[0].whys)


@pytest.mark.parametrize(("section", "line"), UNTOUCHED)
def test_what_haproxy_accepts_and_what_is_unknown_stays(section: str, line: str) -> None:
    text = SECTIONS[section].format(line)
    migration = migrate(text)

    assert migration.text == text
    assert migration.changes == 0


@pytest.mark.parametrize(("section", "line", "what"), REFUSED)
def test_a_line_without_a_faithful_translation_is_refused_in_words(
    section: str, line: str, what: str
) -> None:
    text = SECTIONS[section].format(line)
    (problem,) = migrate(text, name="h.cfg").problems

    assert problem.where == f"h.cfg:{text.count(chr(10))}"
    assert what in problem.what


@pytest.mark.parametrize(
    ("section", "what"),
    [("peers p\n", "same peer"), ("program p\n", "start the program")],
)
def test_a_section_that_cannot_be_multiplied_is_refused_unless_one_process_runs(
    section: str, what: str
) -> None:
    (problem,) = migrate(section).problems

    assert what in problem.what
    assert migrate(section, is_single=True).problems == ()


def test_one_process_may_keep_its_socket_without_the_pin() -> None:
    text = "global\n stats socket /run/h.sock process 1 level admin\n"

    assert migrate(text, is_single=True).text == "global\n stats socket /run/h.sock level admin\n"


def test_servers_that_share_a_cookie_get_their_own_names() -> None:
    text = (
        "backend b\n cookie X\n server a :1 cookie c\n server b :2 cookie c\n server d :3 cookie e"
    )
    text += "\n"

    assert migrate(text).text == text.replace("a :1 cookie c", "a :1 cookie a").replace(
        "b :2 cookie c", "b :2 cookie b"
    )


def test_a_default_server_with_init_addr_covers_its_servers() -> None:
    text = "defaults\n default-server init-addr none\nbackend b\n server a a.b:80\n"

    assert migrate(text).text == text


def test_a_backup_may_share_the_cookie_of_the_server_it_stands_in_for() -> None:
    text = "backend b\n cookie X\n server a :1 cookie c\n server b :2 cookie c backup\n"

    assert migrate(text).text == text


def test_a_shared_cookie_is_refused_where_the_servers_own_name_is_taken() -> None:
    servers = " server a :1 cookie b\n server b :2 cookie c\n server c :3 cookie c\n"
    (problem,) = migrate(f"backend b\n cookie X\n{servers}", name="h").problems

    assert problem.where == "h:4"
    assert "a cookie of its own" in problem.what


@pytest.mark.parametrize(
    "other", [r"reqadd X:\ y", "http-request set-header X y", r"reqrep ^Host:.* Host:\ b"]
)
def test_allow_is_refused_where_it_would_skip_what_the_old_one_did_not(other: str) -> None:
    text = f"frontend f\n mode http\n reqallow ^Host:\\ a$\n {other}\n"
    (problem,) = migrate(text, name="h").problems

    assert problem.where == "h:3"
    assert "skip every later rule" in problem.what


def test_options_behind_an_address_that_were_never_read_are_not_dropped_silently() -> None:
    (problem,) = migrate("listen web :443 ssl crt x\n").problems

    assert "'ssl'" in problem.what


def test_a_line_of_a_check_that_is_no_header_is_not_repeated() -> None:
    text = "backend b\n option httpchk GET / HTTP/1.1\\r\\nHost:\\ a\\r\\nhunter2\n"
    (problem,) = migrate(text).problems

    assert "line 2 behind the version" in problem.what
    assert "hunter2" not in problem.what


@pytest.mark.parametrize("keyword", ["listen", "frontend"])
def test_an_address_on_a_sections_line_gets_a_line_of_its_own(keyword: str) -> None:
    text = f"{keyword} web 10.0.0.1:80,:81 # main\n\tmode tcp\n"

    assert migrate(text).text == f"{keyword} web # main\n\tbind 10.0.0.1:80,:81\n\tmode tcp\n"
