#!/bin/bash
# mouse canonical: simulate at gadi; the smallest there is
#PBS -N simulate-mouse
#PBS -l ncpus=4,mem=4000mb
#PBS -l walltime=01:00:00
#PBS -P ab12
#PBS -q normal
#PBS -l storage=home:eagle
#PBS -l wd
#PBS -l jobfs=10GB
#PBS -j oe
#PBS -o logs/
#PBS -r n
set -euo pipefail
cd -- "${PBS_O_WORKDIR:?is for qsub: use jobs/submit.sh}"

JOB=$PBS_JOBID HOSTS=$(sort -u "$PBS_NODEFILE" | paste -sd ,)
INDEX=$((${PBS_ARRAY_INDEX:-0} + ${TASK_OFFSET:-0}))
requeue() {
  echo "=== $NAME: submit it again with: cerebellar-models jobs resume"
}
# shellcheck disable=SC2034  # some launchers do without some of these
STAGE=simulate NODES=2 RANKS=4 RANKS_PER_NODE=2 THREADS=1 WATCHDOG_S=3600 WALLTIME_S=3600
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
