#!/bin/bash
# mouse canonical: simulate on this machine; the smallest there is
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

JOB=$$ HOSTS=$(hostname)
INDEX=${1:?which task}
[[ $INDEX =~ ^[0-9]+$ ]] || {
  echo "$INDEX: is no number of a task" >&2
  exit 2
}
requeue() {
  echo "=== $NAME: run it again with: cerebellar-models jobs resume"
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=simulate NODES=1 RANKS=2 RANKS_PER_NODE=2 THREADS=1 WATCHDOG_S=3600 WALLTIME_S=0
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
case $INDEX in
  0) SIMULATION=basal_activity SEED='' ;;
  *) REASON="there is no task $INDEX"; exit 2 ;;
esac
begin
export CEREBELLAR_MODELS_SEED=$SEED CEREBELLAR_MODELS_THREADS=$THREADS CEREBELLAR_MODELS_PROGRESS=1
work on_ranks "$PYTHON" -m bsb simulate "$RUN/cerebellum.hdf5" "$SIMULATION" -o "$PRODUCT/results" -v3
