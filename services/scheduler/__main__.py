"""Start the scheduler: `python -m services.scheduler`, configured by the environment alone."""

import os

from eventing import app
from services.scheduler.settings import Settings
from services.scheduler.wiring import build_app

if __name__ == "__main__":
    app.run("scheduler", Settings, build_app, os.environ)
