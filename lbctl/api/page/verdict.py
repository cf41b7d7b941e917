"""Is it fine? One sentence, why, and what wants a look: judged from all that is shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lbctl.api.page.listing import ProxyRow
from lbctl.api.page.words import many
from lbctl.glance.cell import Cell, Tone
from lbctl.glance.durations import moment
from lbctl.glance.hosts import Address, Group, Host
from lbctl.glance.loud import loud, pause_of

_NAMED_MOST: Final = 5

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, and the reason for what it says of the addresses."""

    text: str
    why: str
    tone: Tone


def trouble(status: Status, services: Sequence[ProxyRow]) -> tuple[Cell, ...]:
    """All that wants a look, the worst first."""
    down = [one.name for one in services if one.is_down]
    found = [*loud(status), *([Cell(f"no server: {_some(down)}", "bad")] if down else [])]
    return tuple(sorted(found, key=lambda one: one.tone != "bad"))


def verdict(
    status: Status,
    groups: Sequence[Group],
    addresses: Sequence[Address],
    services: Sequence[ProxyRow],
    wanting: Sequence[Cell],
) -> Verdict:
    """
    Worst thing first.

    Args:
        wanting: :func:`trouble`.
    """
    if status.get("ha_error"):
        return Verdict("Who holds the address is not known.", str(status["ha_error"]), "bad")
    wrong = next((one for one in addresses if one.holder.tone != "good"), None)
    if wrong is not None:
        return _nowhere(groups, wrong)
    who, why = _who(addresses)
    but = _but(status, groups, services, wanting)
    if but.text:
        text = f"{who}, but {but.text}." if who else f"{but.text[0].upper()}{but.text[1:]}."
        return Verdict(text, why, but.tone)
    if not who:
        count = len(status["haproxy"]["processes"])
        what = f"{many(len(services), 'service')} on {count} HAProxy process"
        return Verdict(f"All is well: {what}{'' if count == 1 else 'es'}.", "no virtual IP", "good")
    backups = dict.fromkeys(one.name for one in _hosts(groups) if not _is_master(one, groups))
    stands = f", {' and '.join(backups)} stands by" if backups else ""
    return Verdict(f"All is well: {who}{stands}.", why, "good")


def is_paused(status: Status) -> bool:
    return bool(pause_of(status.get("ha") or {}))


def _nowhere(groups: Sequence[Group], wrong: Address) -> Verdict:
    """An address that not exactly one host holds, as it should."""
    name, who = _bare(wrong.text), wrong.holder.text
    if wrong.since is None:
        why = "; ".join(f"{one.name}: {one.why}" for one in _hosts(groups) if one.why)
        return Verdict(f"Nobody is known to hold {name}.", why, "bad")
    if " AND " in who:
        return Verdict(f"More than one host holds {name}.", who, "bad")
    return Verdict(f"{name} is not where it belongs.", who, "bad")


def _who(addresses: Sequence[Address]) -> tuple[str, str]:
    """``b serves 10.0.1.201``, and since when and why; empty without an address."""
    held: dict[str, list[str]] = {}
    for one in addresses:
        held.setdefault(one.holder.text.partition(",")[0], []).append(_bare(one.text))
    who = ", ".join(f"{name} serves {_some(given)}" for name, given in held.items())
    newest = max(addresses, key=lambda one: one.since or 0.0, default=None)
    if newest is None or newest.since is None:
        return who, ""
    return who, f"since {moment(newest.since)}: {newest.why}"


def _but(
    status: Status,
    groups: Sequence[Group],
    services: Sequence[ProxyRow],
    wanting: Sequence[Cell],
) -> Cell:
    """What spoils it, in a few words; no text: nothing."""
    hosts = _hosts(groups)
    down = sum(one.is_down for one in services)
    silent = list(dict.fromkeys(one.name for one in hosts if one.is_silent))
    ill = [one.name for one in hosts if one.health.tone == "bad" and not one.is_silent]
    if down:
        verb = "has" if down == 1 else "have"
        return Cell(f"{down} of {many(len(services), 'service')} {verb} no server", "bad")
    if silent:
        return Cell(f"{' and '.join(silent)} is silent", "bad")
    if ill:
        return Cell(f"{ill[0]} has a fault", "bad")
    if is_paused(status):
        return Cell("moving is paused", "warn")
    if groups and len(groups[0].hosts) == 1:
        return Cell("no other host stands by", "warn")
    if wanting:
        verb = "wants" if len(wanting) == 1 else "want"
        worst: Tone = "bad" if wanting[0].tone == "bad" else "warn"
        return Cell(f"{many(len(wanting), 'thing')} {verb} a look", worst)
    weak = sum(one.tone == "warn" for one in services)
    if weak:
        verb = "is" if weak == 1 else "are"
        return Cell(f"{many(weak, 'service')} {verb} not whole", "warn")
    return Cell("", "good")


def _hosts(groups: Sequence[Group]) -> tuple[Host, ...]:
    return tuple(host for group in groups for host in group.hosts)


def _is_master(host: Host, groups: Sequence[Group]) -> bool:
    """Of any group."""
    return any(one.name == host.name and one.role.text == "MASTER" for one in _hosts(groups))


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED_MOST
    return ", ".join(names[:_NAMED_MOST]) + (f" and {more} more" if more > 0 else "")
