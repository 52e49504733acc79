#!/bin/bash
# mouse canonical: compile at generic-slurm; the smallest there is
#SBATCH --job-name=compile-mouse-c
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --mem=2000M
#SBATCH --output=logs/slurm-compile-%j.out
#SBATCH --no-requeue
# 120 s before the walltime ends, this script hears of it and stops cleanly.
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?is for sbatch: use jobs/submit.sh}"

JOB=$SLURM_JOB_ID HOSTS=$SLURM_JOB_NODELIST
requeue() { # Once: a stage starts again from its beginning, and would meet the same end for ever.
  echo "=== $NAME: this site does not requeue; submit it again with: cerebellar-models jobs resume"
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=compile NODES=2 RANKS=4 RANKS_PER_NODE=2 THREADS=1 WATCHDOG_S=3600
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
# It writes into the folder it runs in.
# shellcheck disable=SC2016  # for the shell on the rank
on_ranks sh -c 'cd -- "$0" && exec "$@"' "$PRODUCT" "$PYTHON" -m bsb compile "$RUN/circuit.yaml" -v4 --clear
