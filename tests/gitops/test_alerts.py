"""The alerts mean something: valid rules on metrics and labels that corelib has, and the docs say what to do."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

import corelib.metrics  # noqa: F401 -- registers what there is
from corelib.transaction import REMEMBER

ROOT = Path(__file__).parents[2]
RULE = yaml.safe_load((ROOT / "gitops/base/alerts.yaml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULE["spec"]["groups"] for rule in group["rules"]]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
SCRAPED = {"job", "instance"}  # labels that a scrape adds

EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def test_the_rules_are_a_resource_that_the_operator_takes() -> None:
    text = (ROOT / "gitops/schemas/prometheusrule_v1.json").read_text()
    schema = json.loads(text.replace("^(?i)", "(?i)^"))  # Go takes a flag anywhere, Python at the beginning
    jsonschema.validate(RULE, schema)


def selectors(expression: Any) -> Iterator[promql_parser.VectorSelector]:
    """Yield what an expression selects, however deep."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    elif isinstance(expression, promql_parser.MatrixSelector):
        yield expression.vector_selector
    else:
        inner = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr")]
        for each in [*inner, *getattr(expression, "args", ())]:
            if each is not None:
                yield from selectors(each)


def groupings(expression: Any) -> Iterator[str]:
    """Yield the labels that an expression groups by."""
    if isinstance(expression, promql_parser.AggregateExpr) and expression.modifier is not None:
        yield from expression.modifier.labels
    for name in ("lhs", "rhs", "expr"):
        if (inner := getattr(expression, name, None)) is not None:
            yield from groupings(inner)


def labels_of(series: str | None) -> set[str]:
    """Return the labels of a metric of corelib. Raises `KeyError` for one that it has not."""
    known = {
        name: {*getattr(collector, "_labelnames", ()), *getattr(collector, "_labels", ())}
        for collector, names in REGISTRY._collector_to_names.items()
        for name in names
    }
    return known[series or ""]


@EACH
def test_an_alert_is_about_metrics_and_labels_that_corelib_has(alert: dict[str, Any]) -> None:
    expression = promql_parser.parse(alert["expr"])
    found = list(selectors(expression))
    assert found
    labels = set.intersection(*(labels_of(each.name) for each in found)) | SCRAPED
    assert {matcher.name for each in found for matcher in each.matchers.matchers} <= labels
    assert set(groupings(expression)) <= labels
    assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"])) <= set(groupings(expression))


@EACH
def test_an_alert_says_how_bad_it_is_and_leads_to_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"warning", "critical"}
    page, anchor = alert["annotations"]["runbook_url"].split("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    assert f"`{alert['alert']}`" in OPERATIONS


def test_somebody_is_woken_days_before_what_is_parked_can_only_be_skipped() -> None:
    expressions: list[Any] = [promql_parser.parse(each["expr"]) for each in ALERTS if "parked_old" in each["expr"]]
    latest = timedelta(seconds=max(expression.rhs.val for expression in expressions))
    assert timedelta(days=3) <= REMEMBER - latest <= timedelta(days=5)


def test_what_the_docs_call_an_alert_is_one() -> None:
    watch = OPERATIONS.split("## Watch")[1].split("\n## ")[0]
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", watch, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row)}
    assert named == {alert["alert"] for alert in ALERTS}
