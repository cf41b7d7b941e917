"""The documents as a site: built without a warning, asking no other host, its reference current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = sorted((ROOT / "docs" / "images").glob("*.svg"))
IMAGE_MAX_BYTES = 20_000

#: What a browser fetches by itself.
_FETCHED = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
}
_CSS_URL = re.compile(r"(?:url\(|@import\s+)[\"']?(https?:)?//")


class Fetches(HTMLParser):
    """Addresses that a page has fetched, and pages that it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (tag, name) in _FETCHED:
                self.fetched.append(value)
            elif value and (tag, name) == ("a", "href"):
                self.linked.append(value)


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` builds it: a warning is an error."""
    directory = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(directory)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return directory


def pages(site: Path) -> Iterator[tuple[Path, Fetches]]:
    for path in site.rglob("*.html"):
        found = Fetches()
        found.feed(path.read_text("utf-8"))
        yield path, found


def test_every_document_has_a_page(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    missing = [one for one in documents if not (site / one.with_suffix(".html")).exists()]

    assert documents
    assert missing == []


def test_a_page_has_nothing_fetched_from_another_host(site: Path) -> None:
    fetched = {(path.name, one) for path, found in pages(site) for one in found.fetched}
    outside = {(name, one) for name, one in fetched if urlsplit(one).netloc}

    assert len(fetched) > 100
    assert outside == set()


def test_a_style_sheet_fetches_nothing_from_another_host(site: Path) -> None:
    sheets = list(site.rglob("*.css"))
    outside = [path.name for path in sheets if _CSS_URL.search(path.read_text("utf-8"))]

    assert len(sheets) > 1
    assert outside == []


def test_a_link_within_the_site_leads_to_a_page(site: Path) -> None:
    broken = []
    for path, found in pages(site):
        # 404.html stands wherever a page is missed: its links begin at the root.
        for target in found.linked if path.name != "404.html" else ():
            parts = urlsplit(target)
            there = path.parent / parts.path
            if not parts.netloc and parts.path and not there.exists():
                broken.append(f"{path.name}: {target}")

    assert broken == []


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_a_picture_is_small_says_what_it_shows_and_is_readable_in_the_dark(path: Path) -> None:
    text = path.read_text("utf-8")
    root = ElementTree.fromstring(text)
    described = {one.tag.rpartition("}")[2]: one.text for one in root}

    assert len(text.encode()) <= IMAGE_MAX_BYTES
    assert described["title"]
    assert described["desc"]
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_every_picture_is_shown_in_a_document() -> None:
    told = "".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))

    assert len(IMAGES) >= 5
    assert [path.name for path in IMAGES if f"images/{path.name})" not in told] == []


def test_the_reference_is_what_the_code_says() -> None:
    argv = [sys.executable, str(ROOT / "scripts" / "reference"), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
