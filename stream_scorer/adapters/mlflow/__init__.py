"""Models in MLflow, by its own client."""

import os

# MLflow reads these at its first import, so they are set before it; what the environment says goes first. Without the
# first it reports each use to its makers. The next three keep stdout and stderr ours, for --json and for logs in JSON.
# The bounds are two minutes and seven retries otherwise.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}.items():
    os.environ.setdefault(_name, _value)
