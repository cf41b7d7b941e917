"""Rules for what the whole process is told: how many of it, as whom, on which CPU."""

from __future__ import annotations

from typing import Final

from lbctl.migrate.document import Row
from lbctl.migrate.rule import ANY_PROXY, GLOBAL, Lines, Outcome, Rule, Scene, removes, renames

_UNPRIVILEGED = "lbctl starts HAProxy as the user in lb.yaml, without the right to change it"


def _socket(row: Row, scene: Scene) -> Outcome:
    if not scene.is_single:
        return Lines()
    texts = row.texts
    if "process" not in texts[3:]:
        return None
    at = texts.index("process", 3)
    why = "'process' pinned the socket to one process of nbproc; HAProxy 3.0 refuses it"
    return Lines((row.with_words(at, min(at + 2, len(texts)), ""),), why)


def _bind(row: Row, scene: Scene) -> Outcome:
    del scene
    texts = row.texts
    if "process" not in texts[2:]:
        return None
    at = texts.index("process", 2)
    return Lines((row.with_words(at, min(at + 2, len(texts)), ""),))


GLOBAL_RULES: Final = (
    Rule(
        "nbproc 4",
        "removed; `haproxy.processes` in lb.yaml",
        "lbctl runs the processes itself (haproxy.processes in lb.yaml); a fatal error since 2.5",
        ("nbproc",),
        GLOBAL,
        removes,
    ),
    Rule(
        "nbthread 4",
        "removed; `haproxy.threads` in lb.yaml",
        "threads of each process are haproxy.threads in lb.yaml, which would win with a warning",
        ("nbthread",),
        GLOBAL,
        removes,
    ),
    Rule(
        "cpu-map 1 0",
        "removed",
        "it names processes of nbproc; lbctl holds each process on a CPU of its own",
        ("cpu-map",),
        GLOBAL,
        removes,
    ),
    Rule(
        "stats bind-process 1",
        "removed",
        "every process has its own socket and statistics; a fatal error in 3.0",
        ("stats bind-process",),
        GLOBAL,
        removes,
    ),
    Rule(
        "stats socket /run/haproxy.sock",
        "removed, unless `haproxy.processes` is 1 (then only the word `process` goes)",
        "the last process to start would own it; each has one in the run dir (haproxy/01.sock)",
        ("stats socket",),
        GLOBAL,
        _socket,
    ),
    Rule(
        "pidfile /var/run/haproxy.pid",
        "removed",
        "supervisord knows the pids; unprivileged HAProxy cannot write it, and would not start",
        ("pidfile",),
        GLOBAL,
        removes,
    ),
    Rule(
        "chroot /var/lib/haproxy",
        "removed",
        "HAProxy runs without root's rights, may not chroot, and would not start",
        ("chroot",),
        GLOBAL,
        removes,
    ),
    Rule(
        "user haproxy, group, uid, gid",
        "removed; `user` in lb.yaml",
        _UNPRIVILEGED + "; with another one it would not start",
        ("user", "group", "uid", "gid"),
        GLOBAL,
        removes,
    ),
    Rule(
        "ulimit-n 65536",
        "removed",
        "HAProxy works it out from maxconn; unprivileged it may not raise it, and would not start",
        ("ulimit-n",),
        GLOBAL,
        removes,
    ),
    Rule(
        "debug",
        "removed",
        "unknown since 2.3: every connection was printed; 'haproxy -d' does that",
        ("debug",),
        GLOBAL,
        removes,
    ),
    Rule(
        "nosepoll",
        "removed",
        "unknown since 1.5: that poller is gone",
        ("nosepoll",),
        GLOBAL,
        removes,
    ),
    Rule(
        "tune.chksize 16384",
        "removed",
        "unknown since 2.5: checks use tune.bufsize",
        ("tune.chksize",),
        GLOBAL,
        removes,
    ),
    Rule(
        "tune.zlib.memlevel, tune.zlib.windowsize",
        "removed",
        "Debian's HAProxy compresses with slz, which has no such setting, and refuses it",
        ("tune.zlib.memlevel", "tune.zlib.windowsize"),
        GLOBAL,
        removes,
    ),
    Rule(
        "tune.ssl.capture-cipherlist-size 800",
        "`tune.ssl.capture-buffer-size 800`",
        "its name since 2.5",
        ("tune.ssl.capture-cipherlist-size",),
        GLOBAL,
        renames(1, "tune.ssl.capture-buffer-size"),
    ),
    Rule(
        "bind-process 1",
        "removed",
        "every process runs the whole file; a fatal error in 3.0",
        ("bind-process",),
        ANY_PROXY,
        removes,
    ),
    Rule(
        "bind :80 process 1",
        "`bind :80`",
        "'process' names one of nbproc, and every process listens; a fatal error in 3.0",
        ("bind",),
        ANY_PROXY,
        _bind,
    ),
)
