#!/bin/sh
# Renews requirements.lock and build-requirements.lock: the newest versions that pyproject.toml allows, with hashes.
# NEST is not in it: its wheel is made by build-nest.sh, from the source versions.env names.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
# shellcheck source=containers/versions.env
. "$here/versions.env"

command -v uv >/dev/null || { echo "lock.sh: no uv: pip install uv" >&2; exit 1; }
export UV_CUSTOM_COMPILE_COMMAND="make lock"
set -- --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
  --python-version "$PYTHON_VERSION" --python-platform linux
uv pip compile "$@" --extra nest --extra neuron --extra parallel --extra report --extra deploy \
  --no-emit-package nest-simulator \
  --output-file containers/requirements.lock pyproject.toml containers/mechanisms.txt
echo "hatchling" | uv pip compile "$@" --output-file containers/build-requirements.lock -
