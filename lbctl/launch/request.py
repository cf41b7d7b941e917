"""
What ``lbctl run`` was asked for: the virtual addresses and the password, from arguments and
environment. Pure but for reading the password's file.

``lbctl run [VIP] [PASSWORD] [IP ...]``. With LBCTL_PASSWORD_FILE there is no PASSWORD argument:
all that follows VIP are addresses. IPS in the environment adds addresses, with spaces or commas.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from pathlib import Path

from lbctl.errors import ConfigError, Problem, ProblemsError, UsageError
from lbctl.ha.carp import Password

PASSWORD_FILE = "LBCTL_PASSWORD_FILE"
EXTRA_ADDRESSES = "IPS"

#: An interface's name, as the predecessor's image took it after the password.
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")


@dataclass(frozen=True, slots=True)
class Request:
    """
    Attributes:
        addresses: without prefix, each once; the first one, IPv4, is what CARP signs. Empty: a
            plain load balancer.
        password: None only without addresses.
    """

    addresses: tuple[str, ...] = ()
    password: Password | None = None

    @property
    def vip(self) -> str | None:
        return self.addresses[0] if self.addresses else None

    @property
    def cidrs(self) -> tuple[str, ...]:
        """The addresses with the prefix of a single host."""
        return tuple(f"{address}/{128 if ':' in address else 32}" for address in self.addresses)


def read_request(arguments: Sequence[str], environ: Mapping[str, str]) -> Request:
    """
    Judge the command line.

    Raises:
        UsageError: an argument is wrong; every problem in the message, one a line.
        ConfigError: the arguments are right and the environment is not.
    """
    extra = [word for word in re.split(r"[\s,]+", environ.get(EXTRA_ADDRESSES, "")) if word]
    if not arguments:
        _refuse_without_vip(extra)
        return Request()
    password_file = environ.get(PASSWORD_FILE, "")
    words = list(arguments[1:])
    in_usage: list[Problem] = []
    in_environment: list[Problem] = []
    password = None
    if password_file:
        words = _without_password(words, in_usage)
    else:
        password, words = _split_password(words, in_usage)
    addresses = [
        *_addresses(arguments[:1], "VIP", in_usage),
        *_addresses(words, "IP", in_usage),
        *_addresses(extra, EXTRA_ADDRESSES, in_environment),
    ]
    if password_file:
        try:
            password = Password.read(Path(password_file))
        except ProblemsError as error:
            in_environment.extend(error.problems)
    in_usage.extend(_first_must_be_ipv4(arguments[0]))
    if in_usage:
        raise UsageError("\n".join(str(problem) for problem in (*in_usage, *in_environment)))
    if in_environment:
        raise ConfigError(in_environment)
    return Request(tuple(dict.fromkeys(addresses)), password)


def _refuse_without_vip(extra: list[str]) -> None:
    if extra:
        what = f"{', '.join(extra)}: additional addresses without a VIP: lbctl run VIP PASSWORD"
        raise ConfigError([Problem(EXTRA_ADDRESSES, what)])


def _without_password(words: list[str], problems: list[Problem]) -> list[str]:
    if words and not _is_address(words[0]):
        what = (
            f"{PASSWORD_FILE} is set, so what follows VIP are addresses, and the first is none: "
            "give the password as an argument or in the file, not both"
        )
        problems.append(Problem("PASSWORD", what))
        return words[1:]
    return words


def _split_password(words: list[str], problems: list[Problem]) -> tuple[Password | None, list[str]]:
    """The first word is the password. No message repeats it."""
    both_ways = (
        "give it as the second argument (lbctl run VIP PASSWORD), or put it in a file and name "
        f"that in {PASSWORD_FILE}"
    )
    if not words:
        problems.append(Problem("PASSWORD", f"a VIP needs a password: {both_ways}"))
        return None, words
    if _is_address(words[0]):
        what = f"the second argument is an IP address where the password belongs: {both_ways}"
        problems.append(Problem("PASSWORD", what))
        return None, words
    try:
        return Password(os.fsencode(words[0])), words[1:]
    except ProblemsError as error:
        problems.extend(error.problems)
        return None, words[1:]


def _addresses(words: Sequence[str], where: str, problems: list[Problem]) -> list[str]:
    found = []
    for word in words:
        what = _address_problem(word)
        if what:
            problems.append(Problem(where, what))
        else:
            found.append(str(ip_address(word)))
    return found


def _is_address(word: str) -> bool:
    return _parsed(word) is not None


def _parsed(word: str) -> IPv4Interface | IPv6Interface | None:
    try:
        return ip_interface(word)
    except ValueError:
        return None


def _address_problem(word: str) -> str:
    parsed = _parsed(word)
    if parsed is None:
        if _INTERFACE.fullmatch(word):
            return (
                f"{word!r} is not an IP address; if it is the network interface, set DEV={word} "
                "in the environment or ha.interface in lb.yaml"
            )
        return f"{word!r} is not an IP address"
    if "/" in word:
        return f"{word!r}: give the address without a prefix length: {parsed.ip}"
    # An interface forgets the zone, so the address is read by itself.
    return _unfit(ip_address(word))


def _unfit(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        return f"{address} cannot be a virtual address: neither a zone nor a mapped IPv4 address"
    for kind in ("unspecified", "loopback", "multicast"):
        if getattr(address, f"is_{kind}"):
            return f"{address} cannot be a virtual address: it is {kind}"
    if str(address) == "255.255.255.255":
        return f"{address} cannot be a virtual address: it is broadcast"
    return ""


def _first_must_be_ipv4(word: str) -> list[Problem]:
    parsed = _parsed(word)
    if parsed is None or parsed.version == 4:
        return []
    what = (
        f"{word}: the first virtual address must be IPv4, since UCARP speaks no IPv6: give an IPv4 "
        "address first, IPv6 ones after the password"
    )
    return [Problem("VIP", what)]
