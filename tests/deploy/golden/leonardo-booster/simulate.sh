#!/bin/bash
# mouse canonical: simulate at leonardo-booster; the smallest there is
#SBATCH --job-name=simulate-mouse
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --mem=2000M
#SBATCH --account=ab12
#SBATCH --partition=boost_usr_prod
#SBATCH --gres=gpu:1
#SBATCH --array=0
#SBATCH --output=logs/slurm-simulate-%A_%a.out
#SBATCH --no-requeue
# 120 s before the walltime ends, this script hears of it and stops cleanly.
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd -- "${SLURM_SUBMIT_DIR:?is for sbatch: use jobs/submit.sh}"

JOB=$SLURM_JOB_ID HOSTS=$SLURM_JOB_NODELIST
INDEX=$((SLURM_ARRAY_TASK_ID + ${TASK_OFFSET:-0}))
requeue() { # Once: a stage starts again from its beginning, and would meet the same end for ever.
  echo "=== $NAME: this site does not requeue; submit it again with: cerebellar-models jobs resume"
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
on_ranks "$PYTHON" -m bsb simulate "$RUN/cerebellum.hdf5" "$SIMULATION" -o "$PRODUCT/results" -v3
