#!/bin/bash
# mouse canonical: simulate at made-up; the smallest there is
#PBS -N simulate-mouse
#PBS -l select=2:ncpus=2:mpiprocs=2:mem=2000mb
#PBS -l walltime=01:00:00
#PBS -A ab12
#PBS -l place=scatter
#PBS -j oe
#PBS -o logs/
set -euo pipefail
cd -- "${PBS_O_WORKDIR:?is for qsub: use jobs/submit.sh}"

JOB=$PBS_JOBID HOSTS=$(sort -u "$PBS_NODEFILE" | paste -sd ,)
INDEX=$((${PBS_ARRAY_INDEX:-0} + ${TASK_OFFSET:-0}))
job_lives() { # ID, of a part of an array as 33[0].server: 0 it waits or runs, 1 it is over, 2 PBS does not say
  local said
  if said=$(qstat -f "$1" 2>&1); then
    case $said in
      *"job_state = "[FX]*) return 1 ;;
      *"job_state = "[!M]*) return 0 ;; # what was moved to another server is that one's to know
    esac
  fi
  case $said in
    *"Unknown Job Id"* | *"Job has finished"*) return 1 ;;
  esac
  return 2
}
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
work on_ranks "$PYTHON" -m bsb simulate "$RUN/cerebellum.hdf5" "$SIMULATION" -o "$PRODUCT/results" -v3
