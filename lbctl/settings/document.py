"""
lb.yaml as text: what it gives for which key, with lines; and the settings in force as YAML.

The nodes are walked along the keys that exist, never built into Python objects: no tag can name a
class, no anchor can blow up or go round in circles. Whether a value is good is judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from lbctl.settings.keys import CHILDREN, KEYS, Key, name_shown, unknown_key
from lbctl.settings.layer import Entry, Finding, Given, Layer, Place, shown

NAME = "lb.yaml"

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset(_TAG + name for name in ("str", "timestamp", "value", "merge"))
_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "seq", "map"))
#: A longer number is no value of ours, and Python refuses to read some.
_NUMBER_MAX_CHARS = 40


def read_document(text: str) -> Layer:
    """Everything *text* gives and everything wrong with its form; never raises."""
    node = _compose(text)
    if isinstance(node, Finding):
        return Layer(findings=(node,))
    found = tuple(_section(node, "")) if node is not None else ()
    return Layer(
        given=tuple(one for one in found if isinstance(one, Given)),
        findings=tuple(one for one in found if isinstance(one, Finding)),
    )


def write_document(values: Mapping[str, object]) -> str:
    """Plain values as YAML, in their own order."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _compose(text: str) -> Node | Finding | None:
    try:
        return yaml.SafeLoader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(NAME, mark.line + 1, mark.column + 1) if mark else Place(NAME)
        return Finding(place, f"not YAML: {_syntax(error)}")
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        what = f"not YAML: the character {chr(error.character)!r} is not allowed"
        return Finding(Place(NAME, line, column), what)
    except RecursionError:
        return Finding(Place(NAME), "not read: brackets or indentation are nested too deep")
    except (ValueError, OverflowError) as error:
        # An escape such as "\UFFFFFFFF" leaves the scanner as what chr() raised.
        return Finding(Place(NAME), f"not YAML: {error}")


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        return f"{problem}; indent with spaces, not with tabs"
    if problem == "but found another document":
        return "a second document starts here; lb.yaml is one"
    if problem == "mapping values are not allowed here":
        return f"{problem}; a text with ': ' in it must be in quotes"
    return f"{problem} ({error.context})" if error.problem and error.context else problem


def _section(node: Node, section: str) -> Iterator[Given | Finding]:
    if not isinstance(node, MappingNode) or node.tag not in _TAGS:
        if not _is_null(node):
            yield Finding(_place(node), _not_a_section(node, section), section)
        return
    for named in _named(node, f"{section}." if section else ""):
        if isinstance(named, Finding):
            yield named
            continue
        name, path, value, place = named
        if name and path in CHILDREN:
            yield from _section(value, path)
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
        place = _place(name_node)
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
    if odd := next((tag for tag in tags if tag not in _TAGS | _TEXT_TAGS), None):
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
        values = [_scalar(part) for part in parts if isinstance(part, ScalarNode)]
        yield Given(key, values, place, items=tuple(_place(part) for part in parts))


def _items(node: Node) -> list[Node]:
    return list(node.value) if isinstance(node, SequenceNode) else []


def _are_scalars(nodes: list[Node]) -> bool:
    return all(isinstance(node, ScalarNode) for node in nodes)


def _scalar_given(key: Key, node: ScalarNode, place: Place) -> Given:
    value = _scalar(node)
    is_same = isinstance(value, str) or node.value == repr(value)
    return Given(key, value, place, "" if is_same else node.value or "nothing")


def _records(key: Key, node: SequenceNode, place: Place) -> Iterator[Given | Finding]:
    values: list[object] = []
    for index, item in enumerate(node.value):
        path = f"{key.path}[{index}]"
        if isinstance(item, ScalarNode):
            values.append(_scalar(item))
        elif isinstance(item, MappingNode):
            given: dict[str, Given] = {}
            for one in _record(key, index, item):
                if isinstance(one, Finding):
                    yield one
                else:
                    given[one.key.path.rpartition(".")[2]] = one
            values.append(Entry(path, _place(item), given))
        else:
            yield Finding(_place(item), f"{path} is a list: {key.item_rule(None)}", path)
            values.append(Entry(path, _place(item), {}))
    yield Given(key, values, place, items=tuple(_place(item) for item in node.value))


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
        text = Key(path=f"{key.path}.{name_shown(name)}", kind="text", hint=str, default=None)
        for one in _leaf(text, value, at):
            if isinstance(one, Given):
                given[name] = one
            else:
                yield one
    yield Given(key, Entry(key.path, place, given), place)


def _scalar(node: ScalarNode) -> object:
    read = _READ.get(node.tag)
    if read is None or len(node.value) > _NUMBER_MAX_CHARS:
        return node.value
    try:
        return read(SafeConstructor(), node)
    except (ValueError, KeyError, IndexError, OverflowError):
        return node.value  # an explicit tag on something else: !!int foo


_READ: Mapping[str, Callable[[SafeConstructor, ScalarNode], object]] = {
    f"{_TAG}null": lambda _, node: None if _is_null(node) else node.value,
    f"{_TAG}bool": SafeConstructor.construct_yaml_bool,
    f"{_TAG}int": SafeConstructor.construct_yaml_int,
    f"{_TAG}float": SafeConstructor.construct_yaml_float,
}


def _is_null(node: Node) -> bool:
    return node.tag == f"{_TAG}null" and node.value in ("", "~", "null", "Null", "NULL")


def _place(node: Node) -> Place:
    return Place(NAME, node.start_mark.line + 1)
