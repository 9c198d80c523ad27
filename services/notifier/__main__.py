"""Start the notifier: `python -m services.notifier`, configured by the environment alone."""

import os

from eventing import app, logs
from eventing.settings import load_or_exit
from services.notifier.settings import Settings
from services.notifier.wiring import build_app

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="notifier", level=settings.log_level)
    app.serve(build_app(settings), settings)
