#!/bin/bash
# mouse canonical: models at gadi; the smallest there is
#PBS -N models-mouse-ca
#PBS -l ncpus=1,mem=2000mb
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
watch "${ALONE[@]}" "$PYTHON" -m cerebellar_models models build
