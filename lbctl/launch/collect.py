"""Problems from many checks, reported at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from lbctl.errors import ConfigError, Problem, ProblemsError, ValidationError

T = TypeVar("T")


class Collector:
    """Gathers problems; :meth:`raise_if_any` ends the start with all of them."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._is_config = False

    def __bool__(self) -> bool:
        """Whether there is a problem."""
        return bool(self._problems)

    def add(self, problems: Iterable[Problem]) -> None:
        """Take them in, each once."""
        self._problems.update((problem, None) for problem in problems)

    def attempt(self, call: Callable[[], T]) -> T | None:
        """What *call* returns; None when it raises problems, which are taken in."""
        try:
            return call()
        except ProblemsError as error:
            self.add(error.problems)
            self._is_config |= isinstance(error, ConfigError)
            return None

    def raise_if_any(self) -> None:
        """
        Raises:
            ConfigError: lb.yaml, the environment or a flag has a part in it.
            ValidationError: there is a problem, and it is with this host or its files.
        """
        if self._problems:
            raise (ConfigError if self._is_config else ValidationError)(self._problems)
