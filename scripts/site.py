"""
What mkdocs does not do by itself for the site: pages from outside docs/, and links to them.

The documents are written for whoever reads them in the repository: a link to a file that has no
page becomes its name.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
#: File of the repository -> its page.
OUTSIDE: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "bench/README.md": "bench.md",
}
_DOCS = "docs"
_PAGES: Final = {**OUTSIDE, "README.md": "index.md"}
_FENCE = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside."""
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of the repository into those of the site."""
    here = page.file.src_uri
    source = next((one for one, name in OUTSIDE.items() if name == here), f"{_DOCS}/{here}")
    parts = _FENCE.split(markdown)
    return "".join(
        part if number % 2 else _LINK.sub(lambda found: _link(found, source, here), part)
        for number, part in enumerate(parts)
    )


def _link(found: re.Match[str], source: str, here: str) -> str:
    text, target = found[1], found[2]
    path, _, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return found[0]
    meant = normpath(f"{PurePosixPath(source).parent}/{path}")
    page = _PAGES.get(meant)
    if page is None and meant.startswith(f"{_DOCS}/"):
        page = meant.removeprefix(f"{_DOCS}/")
    if page is None:
        return text if "`" in text or not Path(ROOT, meant).exists() else f"{text} (`{meant}`)"
    return f"[{text}]({relpath(page, PurePosixPath(here).parent)}{anchor and f'#{anchor}'})"
