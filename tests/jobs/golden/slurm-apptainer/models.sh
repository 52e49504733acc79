#!/bin/bash
# mouse canonical: models at made-up; the smallest there is
#SBATCH --job-name=models-mouse-ca
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --mem=2000M
#SBATCH --account=ab12
#SBATCH --output=logs/slurm-models-%j.out
#SBATCH --no-requeue
# 120 s before the walltime ends, this script hears of it and stops cleanly.
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?is for sbatch: use jobs/submit.sh}"

JOB=$SLURM_JOB_ID HOSTS=$SLURM_JOB_NODELIST
requeue() { # Once: a stage starts again from its beginning, and would meet the same end for ever.
  echo "=== $NAME: this site does not requeue; submit it again with: cerebellar-models jobs resume"
}
job_lives() { # ID or ID_INDEX: 0 if it waits or runs, 1 if SLURM says that it has ended or that there is none, 2 if it does not answer
  local said
  # squeue may be one that caches; the controller itself tells what it does not know from what it has not listed yet.
  said=$(scontrol --oneliner show job "$1" 2>&1) || {
    [[ $said == *"Invalid job id"* || $said == *"Job $1 not found"* ]] && return 1
    return 2
  }
  said=$(grep -o ' JobState=[^ ]*' <<<"$said") || return 2
  ! grep -Eqvx ' JobState=(BOOT_FAIL|COMPLETED|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|TIMEOUT|CANCELLED)' <<<"$said" || return 0 # or a word we do not know
  return 1
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=models NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=3600
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
work watch "${ALONE[@]}" "$PYTHON" -m cerebellar_models models build
