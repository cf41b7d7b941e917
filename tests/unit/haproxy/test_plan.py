"""Two states of one backend, and the exact commands or reasons between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbctl.haproxy.abilities import Abilities
from lbctl.haproxy.plan import Plan, Running, plan
from lbctl.haproxy.seen import SeenServer
from lbctl.haproxy.version import HaproxyVersion
from lbctl.model.target import Target, TargetBackend, TargetServer

V2_2 = Abilities.of(HaproxyVersion(2, 2, 9, "2.2.9"))
V2_6 = Abilities.of(HaproxyVersion(2, 6, 12, "2.6.12"))
V3_0 = Abilities.of(HaproxyVersion(3, 0, 11, "3.0.11"))

A = TargetServer("a", 7, "10.0.0.1:80")
N = TargetServer("n", 8, "10.0.0.2:80")
MAP, NEW_MAP = "routes-0123456789.map", "routes-abcdef0123.map"
HOSTS = "hosts-0123456789.map"
HEAD = "backend b\n    balance roundrobin\n"


def backend(
    *servers: TargetServer, options: str = "", fixed: str = "", head: str = HEAD
) -> TargetBackend:
    return TargetBackend("b", head, options, servers, fixed)


def target(*backends: TargetBackend, before: str = "", **files: str) -> Target:
    return Target(before, {one.name: one for one in backends}, "", files)


def said(made: Plan) -> list[str]:
    return [command for step in made.steps for command in step.commands()]


@pytest.mark.parametrize(
    ("old", "new", "commands"),
    [
        (backend(A), backend(A), []),
        (backend(A), backend(A, head=HEAD + "    # by consul\n"), []),
        (
            backend(A),
            backend(N),
            [
                "add server b/n 10.0.0.2:80 id 8 weight 100",
                "set server b/n state ready",
                "set server b/a state maint",
                "del server b/a",
            ],
        ),
        (
            backend(options='sni " b" check'),
            backend(
                replace(N, weight=1, maxconn=3, is_backup=True, cookie="c", admin="drain"),
                options='sni " b" check',
            ),
            [
                (
                    "add server b/n 10.0.0.2:80 id 8 weight 1 maxconn 3 cookie c backup "
                    "sni \\ b check"
                ),
                "enable health b/n",
                "set server b/n state drain",
            ],
        ),
        (
            backend(),
            backend(replace(N, admin="maint")),
            ["add server b/n 10.0.0.2:80 id 8 weight 100"],
        ),
        (
            backend(A),
            backend(replace(A, address="[fd00::1]:81", maxconn=5)),
            ["set server b/a addr fd00::1 port 81", "set maxconn server b/a 5"],
        ),
        (backend(replace(A, maxconn=5)), backend(A), ["set maxconn server b/a 0"]),
        (
            backend(A, replace(N, weight=0)),
            backend(replace(A, weight=0), N),
            ["set server b/n weight 100", "set server b/a weight 0"],
        ),
        (
            backend(replace(A, admin="drain")),
            backend(replace(A, weight=9)),
            ["set server b/a weight 9", "set server b/a state ready"],
        ),
        (
            backend(A),
            backend(replace(A, admin="drain", weight=9)),
            ["set server b/a state drain", "set server b/a weight 9"],
        ),
        (backend(A), backend(replace(A, admin="maint")), ["set server b/a state maint"]),
        (backend(A, N), backend(N, A), []),
    ],
)
def test_changes_at_run_time(old: TargetBackend, new: TargetBackend, commands: list[str]) -> None:
    made = plan(Running(target(old)), target(new), V3_0)

    assert made.reasons == ()
    assert said(made) == commands


FIXED = "balance static-rr"
NAMED = replace(N, address="web.lan:80")


@pytest.mark.parametrize(
    ("old", "new", "abilities", "reason"),
    [
        (backend(A), backend(A, N), V2_2, "n (10.0.0.2:80) comes, and HAProxy 2.2.9 adds none"),
        (backend(A, N), backend(A), V2_2, "n goes, and HAProxy 2.2.9 removes none at run time"),
        (backend(), backend(replace(N, cookie="c")), V2_6, "takes at run time from 3.0 on"),
        (backend(fixed=FIXED), backend(N, fixed=FIXED), V3_0, f"are fixed: {FIXED}"),
        (backend(N, fixed=FIXED), backend(fixed=FIXED), V3_0, f"are fixed: {FIXED}"),
        (backend(), backend(NAMED), V3_0, "looks up no name that it learns at run time"),
        (backend(N), backend(NAMED), V3_0, "n: web.lan:80: names are looked up after a reload"),
        (
            *(backend(options="max-reuse 1"), backend(N, options="max-reuse 1")),
            *(V2_6, "'max-reuse' cannot be said at run time"),
        ),
        (
            *(backend(options="init-addr none"), backend(N, options="init-addr none")),
            *(V3_0, "'init-addr' cannot be said at run time"),
        ),
        (
            *(backend(options="sni 'str(;)'"), backend(N, options="sni 'str(;)'")),
            *(V3_0, "cannot be said at run time"),
        ),
        (backend(A), backend(replace(N, id=7)), V3_0, "with the id 7, which a still has"),
        (backend(A), backend(replace(A, id=9)), V3_0, "a: its id becomes 9 from 7"),
        (backend(A), backend(replace(A, cookie="c")), V3_0, "a: its cookie changes"),
        (backend(A), backend(replace(A, is_backup=True)), V3_0, "a: it becomes a backup server"),
        (
            *(backend(A, fixed=FIXED), backend(replace(A, weight=3), fixed=FIXED)),
            *(V3_0, f"a: its weight becomes 3, and the weights are fixed: {FIXED}"),
        ),
        (
            *(backend(A), backend(A, head="backend b\n    balance leastconn\n")),
            *(V3_0, "'balance roundrobin' becomes 'balance leastconn'"),
        ),
        (
            *(backend(A), backend(A, head=HEAD + "    retries 3\n")),
            *(V3_0, "its own lines change: 'retries 3' comes"),
        ),
    ],
)
def test_what_takes_a_reload_says_so_and_why(
    old: TargetBackend, new: TargetBackend, abilities: Abilities, reason: str
) -> None:
    made = plan(Running(target(old)), target(new), abilities)

    assert [one.backend for one in made.reasons] == ["b"]
    assert reason in str(made.reasons[0])
    assert made.steps == ()


@pytest.mark.parametrize(
    ("old", "new", "reasons"),
    [
        (target(), target(backend()), ["b: the service is new"]),
        (target(backend()), target(), ["b: the service goes"]),
        (target(before="# a\nglobal\n"), target(before="global\n\n# b\n"), []),
        (
            target(before="global\n maxconn 1\nfrontend x\n bind :80\n"),
            target(before="global\n maxconn 2\nfrontend y\n bind :80\n"),
            [
                "global changes: 'maxconn 1' becomes 'maxconn 2'",
                "frontend y is new",
                "frontend x goes",
            ],
        ),
        (
            target(before="frontend x\nfrontend y\n"),
            target(before="frontend y\nfrontend x\n"),
            ["the order of the sections changes"],
        ),
        (
            target(a="1", b="1"),
            target(a="2", c="1"),
            ["file a changes: '1' becomes '2'", "file c is new", "file b goes"],
        ),
        (
            target(**{f"m{i}": "1" for i in range(7)}),
            target(),
            ["file m0, m1, m2, m3, m4 and 2 more goes"],
        ),
        (
            target(
                backend(), before=f"frontend x\n map_beg({MAP}) txn.lbctl_a\n", **{MAP: "/a/ b"}
            ),
            target(backend(), before=f"frontend x\n map_beg({NEW_MAP})\n", **{NEW_MAP: "/c/ b/1"}),
            ["routes of b change"],
        ),
        (
            target(before=f"frontend x\n map_beg({MAP})\n", **{MAP: ""}),
            target(backend(), before=f"frontend x\n map_beg({NEW_MAP})\n", **{NEW_MAP: "/ b"}),
            ["b: the service is new"],
        ),
        (
            target(before=f"frontend x\n map_beg({MAP})\n", **{MAP: "/ b"}),
            target(before=f"frontend x\n map_beg({NEW_MAP})\n", **{NEW_MAP: "# new\n/ b"}),
            ["how routes are looked up changes"],
        ),
        (
            target(before=f"frontend x\n -f {HOSTS}\n", **{HOSTS: "a"}),
            target(before="frontend x\n", **{MAP: ""}),
            ["the hosts that are known change"],
        ),
    ],
)
def test_what_is_around_the_backends_takes_a_reload(
    old: Target, new: Target, reasons: list[str]
) -> None:
    assert [str(one) for one in plan(Running(old), new, V3_0).reasons] == reasons


SEEN = SeenServer(7, "10.0.0.1", 80)


def test_a_reason_in_one_backend_leaves_the_others_their_steps() -> None:
    other = TargetBackend("c", "backend c\n", "", (A,))
    old = target(backend(A), other)
    new = target(backend(replace(A, cookie="c")), replace(other, servers=(replace(A, weight=1),)))
    made = plan(Running(old), new, V3_0)

    assert [one.backend for one in made.reasons] == ["b"]
    assert said(made) == ["set server c/a weight 1"]


@pytest.mark.parametrize(
    ("seen", "wanted", "commands"),
    [
        (replace(SEEN, address="10.9.9.9"), A, ["set server b/a addr 10.0.0.1 port 80"]),
        (replace(SEEN, limit=4), A, ["set maxconn server b/a 0"]),
        (replace(SEEN, limit=0), A, []),
        (
            replace(SEEN, admin="maint", check="off"),
            A,
            ["enable health b/a", "set server b/a state ready"],
        ),
        (replace(SEEN, admin="maint", check="on"), A, ["set server b/a state ready"]),
        (replace(SEEN, check="off"), A, []),
    ],
)
def test_what_the_process_says_counts_more_than_what_it_was_told(
    seen: SeenServer, wanted: TargetServer, commands: list[str]
) -> None:
    loaded = target(backend(wanted))

    assert said(plan(Running(loaded, {"b": {"a": seen}}), loaded, V3_0)) == commands


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (replace(SEEN, cookie="x", is_backup=False), "b: a: its cookie changes"),
        (replace(SEEN, cookie="", is_backup=True), "b: a: it becomes a main server"),
    ],
)
def test_a_cookie_or_rank_that_was_seen_to_differ_is_a_reason(
    seen: SeenServer, reason: str
) -> None:
    loaded = target(backend(A))
    made = plan(Running(loaded, {"b": {"a": seen}}), loaded, V3_0)

    assert [str(one) for one in made.reasons] == [reason]


def test_a_server_that_comes_back_before_it_was_gone_serves_again() -> None:
    leaving = {"b": {"a": replace(SEEN, admin="maint", check="on", weight=5)}}
    made = plan(Running(target(backend()), leaving), target(backend(A)), V3_0)
    sticky = target(backend(replace(A, cookie="c")))

    assert said(made) == [
        "set maxconn server b/a 0",
        "set server b/a weight 100",
        "set server b/a state ready",
    ]
    (reason,) = plan(Running(target(backend()), leaving), sticky, V3_0).reasons
    assert "a comes back before it was gone" in str(reason)


def test_servers_of_a_template_are_left_alone() -> None:
    loaded = target(backend(fixed="server-template"))
    seen = {"b": {"web1": SEEN, "web2": replace(SEEN, id=8, address="", port=80)}}

    assert plan(Running(loaded, seen, is_whole=True), loaded, V3_0) == Plan()


def test_a_static_weight_may_go_to_nothing_and_back() -> None:
    full, drained = (target(backend(replace(A, weight=w), fixed=FIXED)) for w in (100, 0))
    none = {"b": {"a": replace(SEEN, weight=0)}}

    assert said(plan(Running(full), drained, V3_0)) == ["set server b/a weight 0"]
    assert said(plan(Running(drained, none), full, V3_0)) == ["set server b/a weight 100"]


def test_a_backend_that_was_not_looked_at_is_believed_unless_all_were() -> None:
    loaded = target(backend(A))

    assert plan(Running(loaded, {}), loaded, V3_0) == Plan()
    assert said(plan(Running(loaded, {}, is_whole=True), loaded, V3_0)) == [
        "add server b/a 10.0.0.1:80 id 7 weight 100",
        "set server b/a state ready",
    ]


def test_steps_and_reasons_are_told_in_words() -> None:
    old = target(backend(A, replace(N, name="g", id=9), TargetServer("h", 10, "10.0.0.3:80")))
    new = target(
        backend(
            replace(A, address="[fd00::1]:80", weight=4, maxconn=5, admin="drain"),
            N,
            TargetServer("h", 10, "10.0.0.3:80", maxconn=None),
        )
    )

    assert [step.describe() for step in plan(Running(old), new, V3_0).steps] == [
        "move b/a to [fd00::1]:80",
        "maxconn 5 for b/a",
        "add b/n (10.0.0.2:80)",
        "drain b/a",
        "weight 4 for b/a",
        "remove b/g",
    ]
