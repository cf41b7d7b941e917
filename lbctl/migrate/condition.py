"""Conditions of rules, joined with one more that the rule itself used to hold."""

from __future__ import annotations

from collections.abc import Sequence

_OR = ("or", "||")
#: Words before a condition; a rule has at most one.
_STARTS = ("if", "unless")


def start_of(words: Sequence[str], begin: int) -> int:
    """Where ``if`` or ``unless`` stands from *begin* on; the length where there is none."""
    return next((at for at in range(begin, len(words)) if words[at] in _STARTS), len(words))


def joined(extra: str, condition: Sequence[str], raw: str) -> str | None:
    """
    ``if EXTRA ...`` for a rule with *condition*.

    Args:
        extra: anonymous conditions, ``{ ... }``; empty for none.
        condition: its words, ``if`` or ``unless`` first; empty for none.
        raw: the same as it is written.

    Returns:
        None where the two cannot be joined in one line.
    """
    if not extra:
        return raw
    if not condition:
        return f"if {extra}"
    terms = raw.split()[1:]
    if condition[0] == "unless":
        is_single = len(terms) == 1 or (terms[0] == "{" and terms.index("}") == len(terms) - 1)
        return f"if {extra} !{' '.join(terms)}" if is_single else None
    # "a or b" with one more: "x a or x b"; AND binds tighter.
    return "if " + " ".join(f"{term} {extra}" if term in _OR else term for term in (extra, *terms))
