"""Commands that explain: what is built next, why a package is as it is, and which packages are so."""

from __future__ import annotations

import click

from admin.context import Admin, now
from admin.options import COUNT, Command, collection_option, json_option, pass_admin
from admin.output import ago, print_json
from admin.tables import print_table
from koschei import groups, packages
from koschei.queries import insight, package_lines
from koschei.queries.insight import Insight
from koschei.queries.package_lines import Wanted
from koschei.rules.priority import Term
from koschei.rules.states import PackageState


@click.command(
    "queue",
    cls=Command,
    examples=("koschei-admin queue", "koschei-admin queue --limit 5 -c f27", "koschei-admin queue --json"),
)
@click.option("--limit", type=COUNT, default=20, show_default=True, help="At most so many packages.")
@collection_option(required=False, help="Of this collection only.")
@json_option
@pass_admin
def queue(admin: Admin, limit: int, as_json: bool) -> None:
    """Show what would be submitted next, and why.

    These packages may be built and deserve it. Each comes with its priority as a sum; the limits and Koji's load say
    when.
    """
    with admin.reading() as session:
        found = insight.queue(session, admin.config, now(), limit, admin.find_collection(session))
    if as_json:
        print_json(found)
    elif not found:
        click.echo("Nothing deserves a build now; `koschei-admin explain PACKAGE` says what a package waits for")
    else:
        rows = [(e.place, e.package, e.collection, f"{e.priority:.0f}", added(e.terms)) for e in found]
        print_table(("", "PACKAGE", "COLLECTION", "PRIORITY", "THE SUM OF"), rows)


def added(terms: tuple[Term, ...]) -> str:
    """The terms of a priority that are not nothing, in one line."""
    return " + ".join(f"{term.value:.0f} {term.name}" for term in terms if abs(term.value) >= 0.5) or "0"


@click.command(
    "explain",
    cls=Command,
    examples=("koschei-admin explain foo", "koschei-admin explain -c f27 foo --json"),
)
@click.argument("name", metavar="PACKAGE")
@collection_option(required=False, help="In this collection only; otherwise in all that have the package.")
@json_option
@pass_admin
def explain(admin: Admin, name: str, as_json: bool) -> None:
    """Explain why a package is as it is, and what will happen next."""
    moment = now()
    with admin.reading() as session:
        found = packages.named(session, [name], admin.find_collection(session))
        explained = [insight.insight(session, package, admin.config, moment) for package in found]
    if as_json:
        print_json(explained)
        return
    for number, one in enumerate(explained):
        if number:
            click.echo()
        for text in _told(one):
            click.echo(text)


def _told(one: Insight) -> list[str]:
    because = f", by {one.cause}" if one.cause else ""
    lines = [f"{one.package} in {one.collection} is {one.state} since {one.since:%Y-%m-%d %H:%M} UTC{because}"]
    lines += [f"  {problem}" for problem in one.problems]
    if one.running is not None:
        lines.append(f"Build {one.running.id} is running (task {one.running.task_id or 'not known yet'})")
    if one.last is not None:
        lines.append(f"Last build with a verdict: {one.last.id}, {one.last.version}, {one.last.state}")
    if one.bad is not None:
        good = "no good build is known" if one.good is None else f"after build {one.good.id} ({one.good.version})"
        lines.append(f"It broke with build {one.bad.id} ({one.bad.version}), {good}")
    lines.append("Conditions of a build:")
    for condition in one.conditions:
        text = condition.text if condition.holds else condition.reason
        lines.append(f"  {'yes' if condition.holds else 'NO':4}{text}")
    if one.priority is None:
        lines.append("It has no priority, since no build of it is known")
    else:
        lines.append(f"Priority {one.priority:.1f}; a build needs {one.threshold}. It is the sum of:")
        lines += [f"  {term.value:10.1f}  {term.name}: {term.explanation}" for term in one.terms]
    lines += _changes(one)
    lines.append("What comes next:")
    return lines + [f"  {text}" for text in one.then or ("Nothing is planned",)]


def _changes(one: Insight) -> list[str]:
    if not one.changes_total:
        return []
    lines = [f"Changed dependencies ({one.changes_of}): {one.changes_total}"]
    for change in one.changes:
        far = "" if change.distance is None else f", distance {change.distance}"
        lines.append(f"  {change.name} {change.before or 'none'} -> {change.after or 'none'} ({change.kind}{far})")
    hidden = one.changes_total - len(one.changes)
    return lines + ([f"  and {hidden} more"] if hidden else [])


@click.command(
    "list-packages",
    cls=Command,
    examples=(
        "koschei-admin list-packages -c f27 --state failing --state unresolved",
        "koschei-admin list-packages 'python-*' --group infra/mygroup",
        "koschei-admin list-packages -c f27 --state untracked --names",
    ),
)
@click.argument("patterns", nargs=-1, metavar="[NAME]...")
@click.option(
    "--state", "states", multiple=True, type=click.Choice([str(s) for s in PackageState]), help="In this state."
)
@click.option("--group", metavar="GROUP", help="In this group: NAME, or NAMESPACE/NAME.")
@click.option("--all", "everything", is_flag=True, help="Untracked and blocked ones, too.")
@click.option("--names", "names_only", is_flag=True, help="Print names only, each once.")
@collection_option(required=False, help="In this collection only.")
@json_option
@pass_admin
def list_packages(
    admin: Admin,
    patterns: tuple[str, ...],
    states: tuple[str, ...],
    group: str | None,
    everything: bool,
    names_only: bool,
    as_json: bool,
) -> None:
    """List packages, of all names or those that fit NAME, in which * stands for anything.

    Without --state or --all, those that are tracked and not blocked.
    """
    if names_only and as_json:
        raise click.UsageError("--names and --json cannot be had at once")
    moment = now()
    with admin.reading() as session:
        collection = admin.find_collection(session)
        packages.named(session, [name for name in patterns if "*" not in name], collection)  # or it says who is unknown
        wanted = Wanted(
            collection=collection,
            states=frozenset(PackageState(state) for state in states),
            group=None if group is None else groups.find(session, group),
            patterns=patterns,
            everything=everything,
        )
        found = package_lines.listed(session, wanted, admin.config, moment)
    if as_json:
        print_json(found)
    elif names_only:
        for name in dict.fromkeys(line.name for line in found):
            click.echo(name)
    elif not found:
        click.echo("No package is like that", err=True)
    else:
        rows = [
            (
                line.name,
                line.collection,
                line.state,
                ago(line.since, moment),
                "" if line.priority is None else f"{line.priority:.0f}",
                "running" if line.running else "",
            )
            for line in found
        ]
        print_table(("PACKAGE", "COLLECTION", "STATE", "SINCE", "PRIORITY", "BUILD"), rows)


COMMANDS = (queue, explain, list_packages)
