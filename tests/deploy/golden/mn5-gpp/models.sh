#!/bin/bash
# mouse canonical: models at mn5-gpp; the smallest there is
#SBATCH --job-name=models-mouse-ca
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --exclusive
#SBATCH --account=ab12
#SBATCH --qos=gp_ehpc
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
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=models NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=3600
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
watch "${ALONE[@]}" "$PYTHON" -m cerebellar_models models build
