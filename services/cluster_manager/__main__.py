"""Start the cluster manager: `python -m services.cluster_manager`, configured by the environment alone."""

import os

from eventing import app, logs
from eventing.settings import load_or_exit
from services.cluster_manager.settings import Settings
from services.cluster_manager.wiring import build_app

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="cluster_manager", level=settings.log_level)
    app.serve(build_app(settings), settings)
