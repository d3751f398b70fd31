"""The stack on Google Cloud plans in each environment, and is what the job's code uses."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from google.cloud import bigquery

from contracts import channels
from iac import bill, evidence, page
from job_analytics import resources
from job_analytics.settings import AnalyticsSettings
from job_analytics.sinks import BUCKET, TABLE


class _Recorded:
    """Takes what the job provisions in BigQuery."""

    def __init__(self) -> None:
        self.datasets: list[bigquery.Dataset] = []
        self.tables: list[bigquery.Table] = []

    def create_dataset(self, dataset: bigquery.Dataset, *, exists_ok: bool) -> None:
        assert exists_ok
        self.datasets.append(dataset)

    def create_table(self, table: bigquery.Table, *, exists_ok: bool) -> None:
        assert exists_ok
        self.tables.append(table)


@pytest.fixture
def provisioned(monkeypatch: pytest.MonkeyPatch) -> _Recorded:
    """What the job itself would make in BigQuery."""
    made = _Recorded()

    async def nothing(_settings: AnalyticsSettings) -> None:
        """Topics and buckets are not looked at here."""

    monkeypatch.setattr(resources, "bigquery_client", lambda _settings: made)
    monkeypatch.setattr(resources, "_provision_aws_and_kafka", nothing)
    resources.provision(AnalyticsSettings(checkpoint_dir="unused"))
    return made


@pytest.fixture
def plan(gcp_plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return gcp_plans["prod"]


def _planned(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [found["values"] for found in evidence.resources(evidence.of_plan(plan)) if found["type"] == kind]


def test_environments_differ_in_values_only(gcp_plans: dict[str, dict[str, Any]]) -> None:
    indexes = re.compile(r'\["[^"]*"\]')
    made = [
        Counter(indexes.sub("", change["address"]) for change in plan["resource_changes"])
        for plan in gcp_plans.values()
    ]
    assert made[0] == made[1] == made[2] != Counter()


def test_dataset_and_table_are_the_ones_that_the_job_makes(plan: dict[str, Any], provisioned: _Recorded) -> None:
    (dataset,) = _planned(plan, "google_bigquery_dataset")
    assert [dataset["dataset_id"]] == [made.dataset_id for made in provisioned.datasets]
    (table,) = _planned(plan, "google_bigquery_table")
    (made,) = provisioned.tables
    assert table["table_id"] == made.table_id == TABLE
    assert [bigquery.SchemaField.from_api_repr(column) for column in json.loads(table["schema"])] == list(made.schema)
    assert table["time_partitioning"]["type"] == made.time_partitioning.type_
    assert table["time_partitioning"]["field"] == made.time_partitioning.field


def test_the_job_understands_everything_that_it_is_told(plan: dict[str, Any]) -> None:
    (job,) = _planned(plan, "google_dataproc_job")
    prefix = "spark.yarn.appMasterEnv."
    told = {name.removeprefix(prefix) for name in job["pyspark_config"]["properties"] if name.startswith(prefix)}
    known = {f"SOUK_{name.upper()}" for name in AnalyticsSettings.model_fields}
    required = {f"SOUK_{name.upper()}" for name, field in AnalyticsSettings.model_fields.items() if field.is_required()}
    assert {name for name in told if name.startswith("SOUK_")} <= known
    assert required <= told


def test_the_job_may_use_its_topics_and_its_bucket_on_aws_and_no_other(plan: dict[str, Any]) -> None:
    statements = {found["name"]: found["values"]["resources"] for found in _statements(plan)}
    topics = {
        name: {resource.rpartition("/")[2] for resource in statements[name]} for name in ("KafkaRead", "KafkaWrite")
    }
    assert topics["KafkaRead"] == {channels.ORDERS.name}
    assert topics["KafkaWrite"] == {channels.ANALYTICS_RESULTS.name, channels.ANALYTICS_PARKED.name}
    assert statements["Results"] == [f"arn:aws:s3:::souk-prod-{BUCKET}/*"]


def _statements(plan: dict[str, Any]) -> list[dict[str, Any]]:
    found = evidence.resources(evidence.of_plan(plan))
    return [
        resource
        for resource in found
        if resource["type"] == "iam_statement" and resource["address"].startswith("module.role[0].aws_iam_role_policy")
    ]


def test_the_page_tells_the_costs_that_are_planned(gcp_plans: dict[str, dict[str, Any]]) -> None:
    text = page.GOOGLE_PAGE.read_text()
    assert text.count("<!-- cost: ") == 1
    assert page.renewed_google(text, gcp_plans) == text, "make it anew: python -m iac page"


def test_an_environment_at_rest_costs_less_than_what_its_budget_warns_at(gcp_plans: dict[str, dict[str, Any]]) -> None:
    for plan in gcp_plans.values():
        lines = bill.google_bill(plan)
        assert all(line.month > 0 for line in lines)
        assert sum(line.month for line in lines) < 0.8 * bill.budget(plan)
