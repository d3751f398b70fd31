"""The pages: links lead somewhere, every example is run, and each decision record has a number of its own."""

import re
from collections import Counter
from pathlib import Path

from bench.catalogue import BENCHES

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_each_record_has_a_number_of_its_own_that_its_title_repeats() -> None:
    numbers = Counter(int(record.name[:4]) for record in RECORDS)
    assert [number for number, count in numbers.items() if count > 1] == []
    titles = [re.match(r"# (\d+)\. \S", record.read_text()) for record in RECORDS]
    assert [title and int(title[1]) for title in titles] == list(numbers)


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())
        if not _leads_somewhere(page, target)
    ]
    assert broken == []


def test_the_page_of_promises_names_tests_and_benches_that_there_are() -> None:
    page = (ROOT / "docs" / "promises.md").read_text()
    rows = re.findall(r"^\| (P\d) \|.*$", page, re.MULTILINE)
    assert rows == [f"P{number}" for number in range(1, 9)]
    tests = re.findall(r"`(\S+\.py)::(\w+)`", page)
    assert len(tests) > len(rows)
    assert [test for file, test in tests if f"def {test}(" not in (ROOT / file).read_text()] == []
    assert set(re.findall(r"`make bench-(\w+)`", page)) <= BENCHES.keys()


def test_the_map_of_corelib_names_each_of_its_modules_and_rooms() -> None:
    source = ROOT / "corelib" / "src" / "corelib"
    rooms = {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py")} - {"__init__"}
    rows = re.findall(r"^\| .+$", (ROOT / "corelib" / "README.md").read_text(), re.MULTILINE)
    named = set(re.findall(r"`([a-z_]+/?)`", "\n".join(rows)))
    assert named - {"corelib"} == rooms | modules


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    other = page.parent / name if name else page
    return other.exists() and (not anchor or anchor in _anchors(other))


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_example_is_run_or_is_no_program() -> None:
    hidden = [
        f"{page.name}: {language or 'a block without a language'}"
        for page in (ROOT / "docs").glob("*.md")
        if not page.name.startswith("infrastructure")  # wants an account of AWS or Google
        for language in re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)[::2]
        if language not in {"python", "console", "sh", "mermaid", "json", "toml"}
    ]
    assert hidden == []
