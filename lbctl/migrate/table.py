"""Every construct that ``lbctl migrate`` knows, in the order in which the rules look at a line."""

from __future__ import annotations

from typing import Final

from lbctl.migrate.global_rules import GLOBAL_RULES
from lbctl.migrate.header_rules import HEADER_RULES
from lbctl.migrate.proxy_rules import PROXY_RULES
from lbctl.migrate.rule import Rule
from lbctl.migrate.server_rules import SERVER_RULES

RULES: Final[tuple[Rule, ...]] = (*GLOBAL_RULES, *PROXY_RULES, *HEADER_RULES, *SERVER_RULES)
