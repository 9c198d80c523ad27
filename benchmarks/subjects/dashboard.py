"""The dashboard as it is served, but for what it asks of the table while it starts: nothing."""

import os

from dashboard import wiring
from dashboard.settings import Settings
from eventing import logs
from eventing.settings import load_or_exit

if __name__ == "__main__":
    settings = load_or_exit(Settings, os.environ)
    logs.configure(project=settings.google_cloud_project, service="dashboard", level=settings.log_level)
    wiring.serve(settings, warms=False)
