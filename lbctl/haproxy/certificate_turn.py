"""
All processes come to serve the certificates that are wanted, and the files on disk with them.

One process goes first: HAProxy itself says whether it takes a certificate, before the file that a
crash or a reload would load is touched. Then the files, then the other processes side by side. What
is refused stays as it was, and does not keep the rest from being served.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lbctl.errors import Problem, RuntimeApiError
from lbctl.files import write_atomic
from lbctl.haproxy.certificates import (
    CertificatePlan,
    CertificateStep,
    Command,
    Pem,
    Running,
    Store,
    parse_list,
    parse_names,
    parse_store,
    plan_certificates,
    plan_refresh,
    quote,
    read_pem,
)
from lbctl.haproxy.runtime import Runtime

_SUFFIX = ".pem"
#: 2.2 takes an error that OpenSSL told of the certificate before for one of this, and forgets it.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Places:
    """
    Attributes:
        directory: the certificates that HAProxy loads, this user's: ``certs`` in the run dir.
        also: other directories with the same files that the operator's configuration may name.
        start: where HAProxy was started, for relative paths in its configuration.
    """

    directory: Path
    also: tuple[Path, ...] = ()
    start: Path = Path("/")

    def hold(self, directory: str) -> bool:
        """Is *directory*, as the configuration spells it, one of them?"""
        real = os.path.realpath(self.start / directory)
        return any(real == os.path.realpath(one) for one in (self.directory, *self.also))

    def read(self) -> dict[str, bytes]:
        """
        The files, by name.

        Raises:
            OSError: one cannot be read; a directory that is not there has none.
        """
        return {path.name: path.read_bytes() for path in self._files()}

    def write(self, wanted: Mapping[str, bytes]) -> dict[str, bytes]:
        """
        Make the files *wanted*, each replaced by one rename, and remove all others.

        Returns:
            What was there: handed to this function again, it puts all back.

        Raises:
            OSError: the directory is not there, or full; files up to that one are new.
        """
        before = self.read()
        for name, content in sorted(wanted.items()):
            if before.get(name) != content:
                text = content.decode(errors="surrogateescape")
                write_atomic(self.directory / name, text, mode=0o600)
        for name in set(before) - set(wanted):
            (self.directory / name).unlink(missing_ok=True)
        return before

    def _files(self) -> Iterator[Path]:
        if self.directory.is_dir():
            yield from (path for path in self.directory.iterdir() if path.name.endswith(_SUFFIX))


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a plan in one process.

    Attributes:
        done: steps whose effect was read back.
        failed: by the name of the file, what came back.
    """

    done: tuple[CertificateStep, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """
    What became of the wish.

    Attributes:
        did: a sentence for each change, of the process that went first.
        reasons: why it takes a reload; then nothing was done and no file was written.
        refused: certificates that HAProxy did not take; where: the file.
        absent: processes that did not answer; they load the files when they start.
        certs: what is served and on disk now, by name.
    """

    did: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    refused: tuple[Problem, ...] = ()
    absent: tuple[str, ...] = ()
    certs: Mapping[str, bytes] = field(default_factory=dict, repr=False)


async def serve_certificates(
    processes: Sequence[Runtime], wanted: Mapping[str, bytes], places: Places
) -> Served:
    """
    Bring all processes and the files to *wanted*, as far as that goes without a reload.

    Args:
        wanted: by file name; HAProxy is not the first to judge them.

    Raises:
        OSError: the files cannot be read or written; the next turn brings them into line.
    """
    before = places.read()
    rewritten = {name for name, content in wanted.items() if before.get(name) != content}
    pems = {name: read_pem(content) for name, content in wanted.items()}
    found = await asyncio.gather(*(_look(process, places) for process in processes))
    absent = tuple(seen for _, seen in found if isinstance(seen, str))
    turns = [
        _Turn(process, seen, plan_certificates(seen, pems, rewritten))
        for process, seen in found
        if isinstance(seen, Running)
    ]
    reasons = tuple(dict.fromkeys(reason for turn in turns for reason in turn.plan.reasons))
    if reasons:
        return Served(reasons=reasons, absent=absent, certs=before)
    first, others = await _first_word(turns, pems)
    certs = _taken(wanted, before, first.failed)
    places.write(certs)
    rest = await asyncio.gather(*(_perform(turn.without(first.failed), pems) for turn in others))
    return Served(
        did=tuple(step.describe() for step in first.done),
        refused=tuple(_problems(places, before, (first, *rest))),
        absent=absent,
        certs=certs,
    )


async def read_running(runtime: Runtime, places: Places) -> Running:
    """
    What a process has of *places*.

    Raises:
        RuntimeApiError: it does not answer.
        ValueError: it answers something else.
    """
    lists = {
        directory: parse_list(await runtime.ask(f"show ssl crt-list {quote(directory)}"))
        for directory in parse_list(await runtime.ask("show ssl crt-list"))
        if places.hold(directory)
    }
    spelled, unfinished = parse_names(await runtime.ask("show ssl cert"))
    directories = {one.rpartition("/")[0] for one in (*spelled, unfinished)}
    ours = {directory for directory in directories if places.hold(directory)}
    stores = await _look_into(runtime, [one for one in spelled if one.rpartition("/")[0] in ours])
    is_ours = unfinished.rpartition("/")[0] in ours
    return Running(stores, lists, unfinished if is_ours else "", "" if is_ours else unfinished)


async def perform_certificates(
    runtime: Runtime, running: Running, plan: CertificatePlan, pems: Mapping[str, Pem]
) -> Outcome:
    """
    Carry *plan* out in one process, and read its effect back.

    A step that is refused is undone and does not keep the next one from being taken.

    Args:
        running: what the plan was made for.
        pems: what is wanted.
    """
    if running.foreign:
        what = f"a change of {running.foreign} is under way, and HAProxy takes one at a time"
        return Outcome(failed={step.name: what for step in plan.steps})
    failed: dict[str, str] = {}
    if running.unfinished:
        # Whoever began it is gone, and HAProxy has one at a time.
        await _send(runtime, (Command(f"abort ssl cert {quote(running.unfinished)}"),))
    done = await _take(runtime, plan.steps, failed)
    stores = {**running.stores, **await _seen_again(runtime, done)}
    touched = {step.name for step in done if step.kind != "remove"}
    refresh = plan_refresh(replace(running, stores=stores), pems, touched)
    return Outcome((*done, *await _take(runtime, refresh.steps, failed)), failed)


@dataclass(frozen=True, slots=True)
class _Turn:
    process: Runtime
    running: Running
    plan: CertificatePlan

    def without(self, names: Collection[str]) -> _Turn:
        steps = tuple(step for step in self.plan.steps if step.name not in names)
        return replace(self, plan=replace(self.plan, steps=steps))


async def _first_word(
    turns: Sequence[_Turn], pems: Mapping[str, Pem]
) -> tuple[Outcome, Sequence[_Turn]]:
    """What the first process makes of it, and the others; one that dies meanwhile is no judge."""
    for place, turn in enumerate(turns, 1):
        outcome = await _perform(turn, pems)
        if not outcome.failed or await _answers(turn.process):
            return outcome, turns[place:]
    return Outcome(), ()


async def _answers(process: Runtime) -> bool:
    try:
        await process.ask("show ssl cert")
    except RuntimeApiError:
        return False
    return True


async def _perform(turn: _Turn, pems: Mapping[str, Pem]) -> Outcome:
    return await perform_certificates(turn.process, turn.running, turn.plan, pems)


async def _look(process: Runtime, places: Places) -> tuple[Runtime, Running | str]:
    try:
        return process, await read_running(process, places)
    except (RuntimeApiError, ValueError) as error:
        return process, str(error)


async def _look_into(runtime: Runtime, spelled: Sequence[str]) -> dict[str, Store]:
    """What is gone by now, or is no single certificate (2.2's bundles), is left out."""
    answers = await runtime.ask_all([f"show ssl cert {quote(one)}" for one in spelled])
    stores = [parse_store(answer.text) for answer in answers if answer.is_done]
    return {store.spelled: store for store in stores}


async def _take(
    runtime: Runtime, steps: Iterable[CertificateStep], failed: dict[str, str]
) -> tuple[CertificateStep, ...]:
    """
    Returns:
        The steps whose effect was seen; *failed* has what came back of the others.
    """
    sent = []
    for step in steps:
        what = await _send(runtime, step.commands)
        if what:
            failed[step.name] = what
            for command in step.undo:
                await _send(runtime, (command,))
        else:
            sent.append(step)
    seen = await _seen_again(runtime, sent)
    done = []
    for step in sent:
        store = seen.get(step.spelled)
        if (store.fingerprint if store else "") == step.fingerprint:
            done.append(step)
        else:
            failed[step.name] = "accepted, and yet HAProxy does not show it"
    return tuple(done)


async def _send(runtime: Runtime, commands: Iterable[Command]) -> str:
    """What came back of the first command that was refused; empty: none was."""
    for command in commands:
        what = ""
        for _ in range(_TRIES if command.payload is not None else 1):
            what = await _send_once(runtime, command)
            if not what:
                break
        if what:
            return what
    return ""


async def _send_once(runtime: Runtime, command: Command) -> str:
    try:
        answer = await runtime.ask(command.text, payload=command.payload)
    except RuntimeApiError as error:
        return str(error)
    return "" if command.proof in answer else f"{command.text!r}: {_told(answer)}"


async def _seen_again(runtime: Runtime, steps: Iterable[CertificateStep]) -> dict[str, Store]:
    try:
        return await _look_into(runtime, [step.spelled for step in steps])
    except (RuntimeApiError, ValueError):
        return {}


def _told(answer: str) -> str:
    """The telling lines of a refusal without severity, which opens with dots and ends "Failed!"."""
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("Committing ") and line != "Failed!"]
    return " ".join(told) or " ".join(lines) or "no answer"


def _taken(
    wanted: Mapping[str, bytes], before: Mapping[str, bytes], failed: Collection[str]
) -> dict[str, bytes]:
    """What belongs on disk: what is wanted, and what was there where HAProxy refused."""
    kept = {name: before[name] for name in failed if name in before}
    return {name: pem for name, pem in wanted.items() if name not in failed} | kept


def _problems(
    places: Places, before: Collection[str], outcomes: Iterable[Outcome]
) -> Iterator[Problem]:
    told = {(name, what): None for outcome in outcomes for name, what in outcome.failed.items()}
    for name, what in told:
        next_ = "the one before goes on being served" if name in before else "it is not served"
        yield Problem(str(places.directory / name), f"{what}; {next_}")
