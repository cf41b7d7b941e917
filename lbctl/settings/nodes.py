"""
YAML as nodes: composed, with what is wrong with its syntax; and what a scalar stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml
from yaml.constructor import SafeConstructor
from yaml.events import MappingEndEvent, MappingStartEvent, SequenceEndEvent, SequenceStartEvent
from yaml.nodes import Node, ScalarNode
from yaml.reader import ReaderError

from lbctl.settings.layer import Finding, Place

NAME: Final = "lb.yaml"

TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset(TAG + name for name in ("str", "timestamp", "value", "merge"))
TAGS: Final = frozenset(TAG + name for name in ("null", "bool", "int", "float", "seq", "map"))
KNOWN_TAGS: Final = TAGS | _TEXT_TAGS
#: A longer number is no value of ours, and Python refuses to read some.
_NUMBER_MAX_CHARS: Final = 40
#: PyYAML's composer in C recurses without a bound, and ends in a segmentation fault; the other one
#: takes ever longer.
_MAX_DEPTH: Final = 50
_TOO_DEEP: Final = "not read: brackets or indentation are nested too deep"
#: libyaml's parser, seven times as fast; there where PyYAML was built with it.
_FAST: Final[Any] = getattr(yaml, "CSafeLoader", None)


def compose(text: str) -> Node | Finding | None:
    if _FAST is not None and _is_deep(text):
        return Finding(Place(NAME), _TOO_DEEP)
    try:
        return _composed(text)
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
        return Finding(Place(NAME), _TOO_DEEP)
    except (ValueError, OverflowError) as error:
        # An escape such as "\UFFFFFFFF" leaves the scanner as what chr() raised.
        return Finding(Place(NAME), f"not YAML: {error}")


def _composed(text: str) -> Node | None:
    if _FAST is None:
        return yaml.SafeLoader(text).get_single_node()
    try:
        node: Node | None = _FAST(text).get_single_node()
    except yaml.YAMLError:
        # Its words are other ones, and so is what it refuses: the slow one has the last word.
        node = yaml.SafeLoader(text).get_single_node()
    return node


def _is_deep(text: str) -> bool:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_FAST):
            if isinstance(event, MappingStartEvent | SequenceStartEvent):
                depth += 1
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                return True
    except (yaml.YAMLError, ValueError, OverflowError):
        return False
    return False


def _syntax(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        return f"{problem}; indent with spaces, not with tabs"
    if problem == "but found another document":
        return "a second document starts here; lb.yaml is one"
    if problem == "mapping values are not allowed here":
        return f"{problem}; a text with ': ' in it must be in quotes"
    return f"{problem} ({error.context})" if error.problem and error.context else problem


def scalar(node: ScalarNode) -> object:
    read = _READ.get(node.tag)
    if read is None or len(node.value) > _NUMBER_MAX_CHARS:
        return node.value
    try:
        return read(SafeConstructor(), node)
    except (ValueError, KeyError, IndexError, OverflowError):
        return node.value  # an explicit tag on something else: !!int foo


_READ: Mapping[str, Callable[[SafeConstructor, ScalarNode], object]] = {
    f"{TAG}null": lambda _, node: None if is_null(node) else node.value,
    f"{TAG}bool": SafeConstructor.construct_yaml_bool,
    f"{TAG}int": SafeConstructor.construct_yaml_int,
    f"{TAG}float": SafeConstructor.construct_yaml_float,
}


def is_null(node: Node) -> bool:
    return node.tag == f"{TAG}null" and node.value in ("", "~", "null", "Null", "NULL")


def place_of(node: Node) -> Place:
    return Place(NAME, node.start_mark.line + 1)
