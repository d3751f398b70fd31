"""The command line: `python -m iac`."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from iac import evidence, local_cloud, names, package, page, policies, tables
from iac.errors import IacError
from iac.places import ENVIRONMENTS
from iac.policies import Verdict
from iac.workspace import Workspace

Stack = Annotated[str, typer.Option(help="aws or gcp")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Runs and judges the platform's Terraform.")


@app.command("package")
def build_package(target: Path = Path("notify.zip")) -> None:
    """Build the Lambda's zip."""
    typer.echo(package.build(target))


@app.command("tables")
def write_tables() -> None:
    """Write the README of each module anew."""
    for module in tables.modules():
        (module / "README.md").write_text(tables.readme(module))


@app.command("page")
def write_page() -> None:
    """Write the picture and the costs in docs/infrastructure.md and infrastructure-gcp.md anew."""
    for file, stack, renew in (
        (page.PAGE, "aws", page.renewed),
        (page.GOOGLE_PAGE, "gcp", page.renewed_google),
    ):
        plans = dict(zip(ENVIRONMENTS, _plans(stack, *ENVIRONMENTS), strict=True))
        file.write_text(renew(file.read_text(), plans))


@app.command("names")
def write_names(
    environment: Annotated[str, typer.Argument(help="dev, staging or prod; without one all are planned")] = "",
    outputs: Annotated[
        typer.FileText | None, typer.Option(help="What `terraform output -json` says of it once applied; - is stdin")
    ] = None,
) -> None:
    """Write what gitops/ is told of AWS: settings by environment, and service accounts.

    Example: `terraform output -json | python -m iac names dev --outputs -`
    """
    if outputs is not None:
        names.write(environment, names.applied(outputs.read()))
        return
    of = (environment,) if environment else ENVIRONMENTS
    for place, plan in zip(of, _plans("aws", *of), strict=True):
        names.write(place, names.of_plan(plan))


@app.command()
def judge(file: Path, stack: Stack = "aws") -> None:
    """Judge a plan or a state, as `terraform show -json` gives it, by the policies."""
    _tell(json.loads(file.read_text()), stack)


@app.command()
def check(
    environment: Annotated[str, typer.Argument(help="dev, staging or prod")] = "prod", stack: Stack = "aws"
) -> None:
    """Plan an environment without a cloud, and judge it."""
    _tell(_plans(stack, environment)[0], stack)


@app.command()
def local(folder: Path, endpoint: Annotated[str, typer.Option(help="Where the local cloud answers")]) -> None:
    """Make a local cloud's tables, queues, buckets and Lambda; leave what they are called in outputs.json."""
    local_cloud.provision(folder, endpoint)


def _plans(stack: str, *environments: str) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        there = Workspace(Path(folder), stack)
        there.lay()
        there.init()
        return there.plans(*environments)


def _tell(shown: dict[str, Any], stack: str) -> None:
    seen = evidence.of_plan(shown) if "resource_changes" in shown else evidence.of_state(shown)
    verdicts = policies.report(seen, stack)
    for name, (verdict, complaint) in verdicts.items():
        if verdict is not Verdict.PASSED:
            typer.echo(f"{verdict.value}: {name}\n{complaint}")
    counts = {verdict: sum(1 for said, _ in verdicts.values() if said is verdict) for verdict in Verdict}
    typer.echo(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items()))
    raise typer.Exit(1 if counts[Verdict.FAILED] else 0)


if __name__ == "__main__":
    try:
        app()
    except IacError as error:
        sys.exit(f"iac: {error}")
