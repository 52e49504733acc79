#!/bin/bash
# mouse canonical: models on this machine; the smallest there is
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

JOB=$$ HOSTS=$(hostname)
requeue() {
  echo "=== $NAME: run it again with: cerebellar-models jobs resume"
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=models NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=3600 WALLTIME_S=0
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
work watch "${ALONE[@]}" "$PYTHON" -m cerebellar_models models build
