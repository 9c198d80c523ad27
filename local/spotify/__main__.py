"""Starts the simulator as a process: `python -m local.spotify --help`.

Not here: anything a test in one process would want; that is `create_app`.
"""

import argparse
import asyncio
import random
import signal
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from aiohttp import web

from eventing.clock import system_clock
from local.spotify import presets
from local.spotify.app import Settings, create_app
from local.spotify.catalogue import Catalogue
from local.spotify.faults import Rule
from local.spotify.limits import Limits

_DRAIN_SECONDS: Final = 5.0
"""What calls under way get when the process is told to end; stalled ones are cut then."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    options = _parser().parse_args(arguments)
    asyncio.run(_serve(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.spotify", description="A Spotify to test with.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--mode", choices=("developer", "extended"), default="developer", help="kind of app")
    parser.add_argument("--seed", type=int, default=1, help="decides the catalogue and the faults")
    parser.add_argument("--week", type=date.fromisoformat, help="a day of the week listed; default: today")
    parser.add_argument("--rate", type=int, help="calls allowed in 30 seconds; default: any number")
    parser.add_argument("--daily-quota", type=int, help="calls allowed in 24 hours; default: any number")
    parser.add_argument("--lengthen-s", type=float, default=0, help="what a call during a 429 adds to the wait")
    parser.add_argument("--latency-ms", type=float, default=0, help="waited before every answer")
    parser.add_argument("--token-lifetime-s", type=float, default=3600, help="for how long a token is good")
    parser.add_argument(
        "--faults", type=_rules, default=(), help="a name of local.spotify.presets, or rules: JSON or a file of it"
    )
    return parser


def _rules(text: str) -> tuple[Rule, ...]:
    try:
        return presets.read(text)
    except (ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        mode=options.mode,
        limits=Limits(
            calls_per_window=options.rate,
            daily_quota=options.daily_quota,
            lengthen=timedelta(seconds=options.lengthen_s),
        ),
        latency=timedelta(milliseconds=options.latency_ms),
        token_lifetime=timedelta(seconds=options.token_lifetime_s),
        faults=options.faults,
    )


async def _serve(options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = create_app(
        Catalogue(options.seed, options.week or system_clock().date()),
        _settings(options),
        clock=system_clock,
        rng=random.Random(options.seed),
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", options.port)
        await site.start()
        print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
