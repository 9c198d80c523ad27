"""Start the market fetcher: `python -m services.market_fetcher`, configured by the environment alone."""

import os

from eventing import app
from services.market_fetcher.settings import Settings
from services.market_fetcher.wiring import build_app

if __name__ == "__main__":
    app.run("market-fetcher", Settings, build_app, os.environ)
