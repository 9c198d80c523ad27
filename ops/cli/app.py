"""The command line's root: which stack, and the list of commands."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts import __version__
from ops.cli import dead_letters, markets, runs
from ops.cli.examining import doctor
from ops.cli.session import STATUSES, Commands
from ops.surroundings import past_proxies, print_anywhere
from ops.target import Wanted, process_environment

app = Commands(
    name="releases",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="New releases: start, watch and repair weekly runs, on the local stack or in a project.",
    epilog=STATUSES,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _say_version(*, asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    _version: Annotated[
        bool, typer.Option("--version", help="Say the version and end.", callback=_say_version, is_eager=True)
    ] = False,
    stack: Annotated[
        Path | None,
        typer.Option(envvar="RELEASES_STACK", help="A local stack: the folder that holds its stack.json."),
    ] = None,
    project: Annotated[str | None, typer.Option(help="A Google Cloud project, rather than a local stack.")] = None,
    bucket: Annotated[str | None, typer.Option(help="The project's bucket; BUCKET where it is not given.")] = None,
    region: Annotated[str | None, typer.Option(help="The project's region; REGION where it is not given.")] = None,
) -> None:
    """Without an option: the stack that is up in this folder or above it, else the project of GOOGLE_CLOUD_PROJECT."""
    context.obj = Wanted(stack=stack, project=project, bucket=bucket, region=region)


app.add_typer(runs.app, name="run")
app.command()(markets.replay)
app.command("why")(markets.why_market)
app.command()(markets.receipt)
app.command()(markets.backfill)
app.command()(markets.sweep)
app.add_typer(dead_letters.app, name="dead-letter")
app.command()(doctor)


def main() -> None:
    """Run the command line."""
    print_anywhere()
    process_environment().update(past_proxies(process_environment()))
    try:
        app(prog_name="releases")
    except OSError as error:  # such as a disk that is full under the answer
        sys.exit(f"error: {error}")
