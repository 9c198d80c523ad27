"""Start the notifier: `python -m services.notifier`, configured by the environment alone."""

import os

from eventing import app
from services.notifier.settings import Settings
from services.notifier.wiring import build_app

if __name__ == "__main__":
    app.run("notifier", Settings, build_app, os.environ)
