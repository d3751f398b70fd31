"""What docs/infrastructure.md shows is what is planned; and a plan at rest stays far from its budget."""

from typing import Any

import pytest

from iac import bill, page


def test_picture_and_costs_are_up_to_date(plans: dict[str, dict[str, Any]]) -> None:
    text = page.PAGE.read_text()
    assert page.renewed(text, plans) == text, "make it anew: python -m iac page"


def test_picture_and_costs_are_on_the_page() -> None:
    text = page.PAGE.read_text()
    assert [text.count(f"<!-- {part}: ") for part in ("picture", "cost")] == [1, 1]


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_an_environment_at_rest_costs_less_than_what_its_budget_warns_at(
    environment: str, plans: dict[str, dict[str, Any]]
) -> None:
    lines = bill.bill(plans[environment])
    assert all(line.month > 0 for line in lines)
    assert sum(line.month for line in lines) < 0.8 * bill.budget(plans[environment])
