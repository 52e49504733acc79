#!/bin/bash
# mouse canonical: compile on this machine; the smallest there is
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

JOB=$$ HOSTS=$(hostname)
requeue() {
  echo "=== $NAME: run it again with: cerebellar-models jobs resume"
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=compile NODES=1 RANKS=2 RANKS_PER_NODE=2 THREADS=1 WATCHDOG_S=3600 WALLTIME_S=0
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
# It writes into the folder it runs in.
# shellcheck disable=SC2016  # for the shell on the rank
work on_ranks sh -c 'cd -- "$0" && exec "$@"' "$PRODUCT" "$PYTHON" -m bsb compile "$RUN/circuit.yaml" -v4 --clear
