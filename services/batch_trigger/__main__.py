"""Start the batch trigger: `python -m services.batch_trigger`, configured by the environment alone."""

import os

from eventing import app, logs
from eventing.settings import load_or_exit
from services.batch_trigger.settings import Settings
from services.batch_trigger.wiring import build_app

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="batch_trigger", level=settings.log_level)
    app.serve(build_app(settings), settings)
