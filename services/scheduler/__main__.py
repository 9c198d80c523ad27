"""Start the scheduler: `python -m services.scheduler`, configured by the environment alone."""

import os

from eventing import app, logs
from eventing.settings import load_or_exit
from services.scheduler.settings import Settings
from services.scheduler.wiring import build_app

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="scheduler", level=settings.log_level)
    app.serve(build_app(settings), settings)
