#!/bin/bash
# mouse canonical: simulate at made-up; the smallest there is
#SBATCH --job-name=simulate-mouse
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --mem=2000M
#SBATCH --account=ab12
#SBATCH --array=0
#SBATCH --output=logs/slurm-simulate-%A_%a.out
#SBATCH --no-requeue
# 120 s before the walltime ends, this script hears of it and stops cleanly.
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?is for sbatch: use jobs/submit.sh}"

JOB=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}_$SLURM_ARRAY_TASK_ID HOSTS=$SLURM_JOB_NODELIST
INDEX=$((SLURM_ARRAY_TASK_ID + ${TASK_OFFSET:-0}))
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
STAGE=simulate NODES=2 RANKS=4 RANKS_PER_NODE=2 THREADS=1 WATCHDOG_S=3600
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
