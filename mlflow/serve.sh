#!/bin/sh
# Start the local tracking server in the foreground; Ctrl-C stops it. Settings: settings.env.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/settings.env"

case $MLFLOW_SERVER_ALLOWED_HOSTS in
*"*"*)
    echo "MLFLOW_SERVER_ALLOWED_HOSTS: expected names of hosts, got a pattern; list them" >&2
    exit 2
    ;;
esac
# MLflow reads these by itself; they would open the server to any page in a browser.
unset MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE MLFLOW_SERVER_CORS_ALLOWED_ORIGINS

umask 077 # runs and models are for their owner alone
mkdir -p "$MLFLOW_SERVER_STORE"
store=$(CDPATH='' cd -- "$MLFLOW_SERVER_STORE" && pwd)

exec "$MLFLOW_SERVER_PYTHON" -m mlflow server \
    --host 127.0.0.1 \
    --port "$MLFLOW_SERVER_PORT" \
    --workers "$MLFLOW_SERVER_WORKERS" \
    --allowed-hosts "$MLFLOW_SERVER_ALLOWED_HOSTS" \
    --backend-store-uri "sqlite:///$store/mlflow.db" \
    --artifacts-destination "$store/artifacts"
