"""
lb.yaml as text: what it gives for which key, with lines; and the settings in force as YAML.

The nodes are walked along the keys that exist, never built into Python objects: no tag can name a
class, no anchor can blow up or go round in circles. Whether a value is good is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lbctl.settings.keys import CHILDREN, KEYS, Key, name_shown, unknown_key
from lbctl.settings.layer import Entry, Finding, Given, Layer, Place, Tree, shown
from lbctl.settings.nodes import KNOWN_TAGS, TAGS, compose, is_null, place_of, scalar
from lbctl.settings.tree import tree_of

_Dumper: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_document(text: str) -> Layer:
    """Everything *text* gives and everything wrong with its form; never raises."""
    node = compose(text)
    if isinstance(node, Finding):
        return Layer(findings=(node,))
    found = tuple(_section(node, "")) if node is not None else ()
    return Layer(
        given=tuple(one for one in found if isinstance(one, Given)),
        findings=tuple(one for one in found if isinstance(one, Finding)),
        services=next((one for one in found if isinstance(one, Tree)), None),
    )


def write_document(values: Mapping[str, object]) -> str:
    """Plain values as YAML, in their own order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _section(node: Node, section: str) -> Iterator[Given | Finding | Tree]:
    if not isinstance(node, MappingNode) or node.tag not in TAGS:
        if not is_null(node):
            yield Finding(place_of(node), _not_a_section(node, section), section)
        return
    for named in _named(node, f"{section}." if section else ""):
        if isinstance(named, Finding):
            yield named
            continue
        name, path, value, place = named
        if name and path in CHILDREN:
            yield from _section(value, path)
        elif path in KEYS and KEYS[path].is_tree:
            if not is_null(value):  # its items may be commented out
                tree, findings = tree_of(value, path)
                yield tree
                yield from findings
        elif path in KEYS:
            yield from _leaf(KEYS[path], value, place)
        else:
            yield Finding(place, unknown_key(path), path)


def _named(node: MappingNode, prefix: str) -> Iterator[Finding | tuple[str, str, Node, Place]]:
    """Name, path, value and place of what a mapping holds, and what is wrong with the names."""
    lines: dict[str, int] = {}
    for name_node, value in node.value:
        name = str(name_node.value) if isinstance(name_node, ScalarNode) else "(no name)"
        path = f"{prefix}{name}"
        place = place_of(name_node)
        if name in lines:
            what = f"{name_shown(path)}: given twice, first in line {lines[name]}; keep one"
            yield Finding(place, what, path)
        elif "." in name:
            what = f"{name_shown(name)}: unknown key; write one name below the other, not a dot"
            yield Finding(place, what, path)
        else:
            yield name, path, value, place
        lines.setdefault(name, place.line)


def _not_a_section(node: Node, section: str) -> str:
    children = ", ".join(CHILDREN[section])
    kind = "a list" if isinstance(node, SequenceNode) else "a tagged mapping"
    if isinstance(node, ScalarNode):
        kind = shown(node.value)
    if not section:
        return f"must hold keys ({children}), not {kind}"
    return f"{section}: must hold keys ({children}), not {kind}"


def _leaf(key: Key, node: Node, place: Place) -> Iterator[Given | Finding]:
    tags = [node.tag, *(item.tag for item in _items(node))]
    if odd := next((tag for tag in tags if tag not in KNOWN_TAGS), None):
        what = f"{key.path}: the tag {name_shown(odd)} is not understood; {key.rule(None)}"
        yield Finding(place, what, key.path)
    elif key.kind == "records" and isinstance(node, SequenceNode):
        yield from _records(key, node, place)
    elif key.kind == "mapping" and isinstance(node, MappingNode):
        yield from _mapping(key, node, place)
    elif isinstance(node, MappingNode) or not _are_scalars(_items(node)):
        kind = "a mapping" if isinstance(node, MappingNode) else "a list of lists or mappings"
        yield Finding(place, f"{key.path} is {kind}: {key.rule(None)}", key.path)
    elif isinstance(node, ScalarNode):
        yield _scalar_given(key, node, place)
    else:
        parts = _items(node)
        values = [scalar(part) for part in parts if isinstance(part, ScalarNode)]
        yield Given(key, values, place, items=tuple(place_of(part) for part in parts))


def _items(node: Node) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) else []


def _are_scalars(nodes: list[Node]) -> bool:
    return all(isinstance(node, ScalarNode) for node in nodes)


def _scalar_given(key: Key, node: ScalarNode, place: Place) -> Given:
    # To YAML, yes and no are true and false.
    value = node.value if node.value in key.words else scalar(node)
    is_same = isinstance(value, str) or node.value == repr(value)
    return Given(key, value, place, "" if is_same else node.value or "nothing")


def _records(key: Key, node: SequenceNode, place: Place) -> Iterator[Given | Finding]:
    values: list[object] = []
    for index, item in enumerate(node.value):
        path = f"{key.path}[{index}]"
        if isinstance(item, ScalarNode):
            values.append(scalar(item))
        elif isinstance(item, MappingNode):
            given: dict[str, Given] = {}
            for one in _record(key, index, item):
                if isinstance(one, Finding):
                    yield one
                else:
                    given[one.key.path.rpartition(".")[2]] = one
            values.append(Entry(path, place_of(item), given))
        else:
            yield Finding(place_of(item), f"{path} is a list: {key.item_rule(None)}", path)
            values.append(Entry(path, place_of(item), {}))
    yield Given(key, values, place, items=tuple(place_of(item) for item in node.value))


def _record(key: Key, index: int, node: MappingNode) -> Iterator[Given | Finding]:
    for named in _named(node, f"{key.path}[{index}]."):
        if isinstance(named, Finding):
            yield named
            continue
        name, path, value, place = named
        member = key.at(index, name)
        if member is None:
            yield Finding(place, unknown_key(path, key.members), path)
        else:
            yield from _leaf(member, value, place)


def _mapping(key: Key, node: MappingNode, place: Place) -> Iterator[Given | Finding]:
    """Names that are not ours, each with a text."""
    given: dict[str, Given] = {}
    for named in _named(node, f"{key.path}."):
        if isinstance(named, Finding):
            yield named
            continue
        name, _, value, at = named
        for one in _leaf(key.named(name), value, at):
            if isinstance(one, Given):
                given[name] = one
            else:
                yield one
    yield Given(key, Entry(key.path, place, given), place)
