"""The command that asks both solvers."""

from __future__ import annotations

import click

from admin.context import Admin
from admin.options import COUNT, Command, collection_option, json_option, pass_admin
from admin.output import print_json
from admin.progress import progress


@click.command(
    "compare-engines",
    cls=Command,
    examples=("koschei-admin compare-engines -c f27", "koschei-admin compare-engines -c f27 foo bar --json"),
)
@click.argument("names", nargs=-1, metavar="[PACKAGE]...")
@click.option(
    "--sample", type=COUNT, default=100, show_default=True, help="Compare so many packages, if none is named."
)
@collection_option(required=True)
@json_option
@pass_admin
@click.pass_context
def compare_engines(ctx: click.Context, admin: Admin, names: tuple[str, ...], sample: int, as_json: bool) -> None:
    """Resolve packages with both solvers in the newest repository, and show where they differ.

    The packages that are resolved, or a sample of them: the same in the same repository, another in the next. It needs
    the library libdnf5, which the image has. Where several packages would do, the solvers may choose differently
    without being wrong. The exit status is 1 if they differ. Nothing is changed.
    """
    from koschei.second_opinion import BASE, SecondOpinion  # late: Koji's libraries take long to load

    assert admin.collection is not None  # the option is required
    with progress() as show:
        compared = SecondOpinion(
            admin.database,
            admin.koji,
            admin.config,
            progress=lambda engine, done, total: show(text=engine, done=done, total=total),
        ).compare(admin.collection, names, sample)
    if as_json:
        print_json(compared)
    else:
        for name in compared.left_out:
            click.echo(f"{name} is left out: it is not resolved, or its BuildRequires are not known yet", err=True)
        for difference in compared.differences:
            click.echo("The base buildroot:" if difference.package == BASE else f"{difference.package}:")
            for one in difference.opinions:
                click.echo(f"  {one.engine} {'installs' if one.resolved else 'cannot install it'}")
                for text in one.only or one.problems:
                    click.echo("\n".join(f"    {line}" for line in text.splitlines()))
        took = ", ".join(f"{engine} took {seconds:.1f} s" for engine, seconds in compared.seconds.items())
        click.echo(
            f"{compared.compared} packages of {compared.collection} in repository {compared.repo_id}: "
            f"{len(compared.differences)} differences; {took}"
        )
    if compared.differences:
        ctx.exit(1)


COMMANDS = (compare_engines,)
