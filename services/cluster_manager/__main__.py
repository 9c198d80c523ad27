"""Start the cluster manager: `python -m services.cluster_manager`, configured by the environment alone."""

import os

from eventing import app
from services.cluster_manager.settings import Settings
from services.cluster_manager.wiring import build_app

if __name__ == "__main__":
    app.run("cluster_manager", Settings, build_app, os.environ)
