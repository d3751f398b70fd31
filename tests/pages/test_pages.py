"""The pages: links lead somewhere, and each decision record has a number of its own."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_each_record_has_a_number_of_its_own_that_its_title_repeats() -> None:
    numbers = Counter(int(record.name[:4]) for record in RECORDS)
    assert [number for number, count in numbers.items() if count > 1] == []
    titles = [re.match(r"# (\d+)\. \S", record.read_text()) for record in RECORDS]
    assert [title and int(title[1]) for title in titles] == list(numbers)


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("bench/*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
