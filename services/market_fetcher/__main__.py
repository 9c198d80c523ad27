"""Start the market fetcher: `python -m services.market_fetcher`, configured by the environment alone."""

import os

from eventing import app, logs
from eventing.settings import load_or_exit
from services.market_fetcher.settings import Settings
from services.market_fetcher.wiring import build_app

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="market-fetcher", level=settings.log_level)
    app.serve(build_app(settings), settings)
