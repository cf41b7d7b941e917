"""
A deep part of lb.yaml as a plain value, and where in the text each part of it stands.
"""

from __future__ import annotations

from functools import partial

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lbctl.settings.keys import name_shown
from lbctl.settings.layer import Finding, Place, Tree
from lbctl.settings.nodes import KNOWN_TAGS, place_of, scalar


def tree_of(node: Node, path: str) -> tuple[Tree, tuple[Finding, ...]]:
    """
    Args:
        node: what stands under the key *path*.

    Returns:
        The value, and what is wrong with its form: names given twice, tags.
    """
    builder = _Builder(path)
    plain = builder.plain(node)
    return Tree(plain, partial(_locate, node)), tuple(builder.findings)


class _Builder:
    """Each node once, so that aliases cost nothing however they are nested."""

    def __init__(self, path: str) -> None:
        self.findings: list[Finding] = []
        self._path = path
        self._done: dict[int, object] = {}

    def plain(self, node: Node) -> object:
        if isinstance(node, ScalarNode):
            if node.tag not in KNOWN_TAGS:
                self._odd(node)
            return scalar(node)
        if id(node) in self._done:
            return self._done[id(node)]
        if node.tag not in KNOWN_TAGS:
            self._odd(node)
        if isinstance(node, SequenceNode):
            items: list[object] = []
            self._done[id(node)] = items
            items.extend(self.plain(one) for one in node.value)
            return items
        named: dict[str, object] = {}
        self._done[id(node)] = named
        self._fill(named, node)
        return named

    def _fill(self, named: dict[str, object], node: Node) -> None:
        lines: dict[str, int] = {}
        for name_node, value in node.value:
            name = _name(name_node)
            if name in lines:
                twice = f"{name_shown(name)} is given twice, first in line {lines[name]}"
                self._find(name_node, f"{self._path}: {twice}; keep one")
            else:
                lines[name] = place_of(name_node).line
                named[name] = self.plain(value)

    def _odd(self, node: Node) -> None:
        self._find(node, f"{self._path}: the tag {name_shown(node.tag)} is not understood")

    def _find(self, node: Node, what: str) -> None:
        self.findings.append(Finding(place_of(node), what, self._path))


def _locate(node: Node, path: tuple[str | int, ...]) -> tuple[Place, str]:
    """A member stands where its name does, an item where it begins."""
    place = place_of(node)
    for part in path:
        if isinstance(part, int) and isinstance(node, SequenceNode) and part < len(node.value):
            node = node.value[part]
            place = place_of(node)
        elif isinstance(node, MappingNode):
            named = next((pair for pair in node.value if _name(pair[0]) == part), None)
            if named is None:
                return place, ""
            place, node = place_of(named[0]), named[1]
        else:
            return place, ""
    return place, _written(node)


def _name(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else "(no name)"


def _written(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return ""
    value = scalar(node)
    is_same = isinstance(value, str) or node.value == repr(value)
    return "" if is_same else node.value or "nothing"
