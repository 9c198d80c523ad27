"""Start the batch trigger: `python -m services.batch_trigger`, configured by the environment alone."""

import os

from eventing import app
from services.batch_trigger.settings import Settings
from services.batch_trigger.wiring import build_app

if __name__ == "__main__":
    app.run("batch_trigger", Settings, build_app, os.environ)
