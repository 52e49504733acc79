#!/bin/bash
# Submits this run, each stage after those it needs. Needs PBS' qsub and nothing else.
#   jobs/submit.sh                         all stages
#   jobs/submit.sh simulate=0,2 report     some stages; of simulate, some tasks
# PBS releases what waits for an array although one of its jobs failed: each stage checks the markers of the others.
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
command -v qsub >/dev/null || {
  echo "no qsub here: copy this folder to where it is (rsync -a \"$PWD/\" HOST:FOLDER/) and run FOLDER/jobs/submit.sh" >&2
  exit 2
}
mkdir -p logs jobs/state
(($#)) || set -- models compile simulate report

declare -A ids # of the jobs submitted now, by stage
cancel() {
  local all="${ids[*]}"
  # shellcheck disable=SC2086  # one word for each job
  [ -z "$all" ] || qdel ${all//:/ } || true
}
trap cancel ERR # all or nothing

submit() { # STAGE AFTER OFFSET [INDICES]
  local stage=$1 after=$2 offset=$3 indices=${4:-} earlier='' name id
  for name in $after; do earlier+=${ids[$name]:+:${ids[$name]}}; done
  id=$(qsub -v "TASK_OFFSET=$offset" ${earlier:+-W "depend=afterok$earlier"} ${indices:+-J "$indices"} "jobs/$stage.sh")
  ids[$stage]+=${ids[$stage]:+:}$id
  printf '%s\t%s\t%s\t%s\t%s\n' "$stage" "$id" "$offset" "$indices" "$(date +%s)" >>jobs/submitted.tsv
  echo "$stage: job $id${earlier:+ after ${earlier#:}}"
}

for wanted in "$@"; do
  case $wanted in
    models) submit models "" 0 ;;
    compile) submit compile "" 0 ;;
    simulate)
      submit simulate "models compile" 0 0-2
      submit simulate "models compile" 3
      ;;
    simulate=*) # an array is a range: these are jobs of their own
      indices=${wanted#*=}
      for index in ${indices//,/ }; do submit simulate "models compile" "$index"; done
      ;;
    report) submit report "simulate" 0 ;;
    *) echo "$wanted is no stage of this run; there are: models compile simulate report" >&2; false ;;
  esac
done
