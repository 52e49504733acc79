#!/bin/bash
# mouse canonical: models at made-up; the smallest there is
#PBS -N models-mouse-ca
#PBS -l select=1:ncpus=1:mpiprocs=1:mem=2000mb
#PBS -l walltime=01:00:00
#PBS -A ab12
#PBS -j oe
#PBS -o logs/
#PBS -r n
set -euo pipefail
cd -- "${PBS_O_WORKDIR:?is for qsub: use jobs/submit.sh}"

JOB=$PBS_JOBID HOSTS=$(sort -u "$PBS_NODEFILE" | paste -sd ,)
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
STAGE=models NODES=1 RANKS=1 RANKS_PER_NODE=1 THREADS=1 WATCHDOG_S=3600 WALLTIME_S=3600
INDEX=''
# shellcheck source-path=SCRIPTDIR source=common.sh
. jobs/common.sh

open_log
begin
work watch "${ALONE[@]}" "$PYTHON" -m cerebellar_models models build
