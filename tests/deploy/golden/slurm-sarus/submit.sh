#!/bin/bash
# Submits this run, each stage after those it needs. Needs SLURM's sbatch and nothing else.
#   jobs/submit.sh                         all stages
#   jobs/submit.sh simulate=0,2 report     some stages; of simulate, some tasks
set -Eeuo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
(($#)) || set -- models compile simulate report
refuse() {
  echo "$1" >&2
  exit 2
}
for wanted in "$@"; do
  case $wanted in
    models | compile | simulate | report) ;;
    simulate=*)
      [[ $wanted =~ ^simulate=(0|[1-9][0-9]{0,8})(,(0|[1-9][0-9]{0,8}))*$ ]] || refuse "$wanted: wants numbers of tasks, such as simulate=0,2"
      indices=${wanted#*=}
      for index in ${indices//,/ }; do
        ((index < 1)) || refuse "$wanted: there is no task $index; the last is 0"
      done
      ;;
    *) refuse "$wanted is no stage of this run; there are: models compile simulate report" ;;
  esac
done
command -v sbatch >/dev/null || {
  printf 'no sbatch here: copy this folder to where it is (rsync -a %q HOST:FOLDER/) and run FOLDER/jobs/submit.sh\n' "$PWD/" >&2
  exit 2
}
mkdir -p logs jobs/state

declare -A ids # of the jobs submitted now, by stage
cancel() {
  local all="${ids[*]}"
  # shellcheck disable=SC2086  # one word for each job
  [ -z "$all" ] || scancel ${all//:/ } || true
}
trap cancel ERR # all or nothing

submit() { # STAGE AFTER OFFSET [INDICES]
  local stage=$1 after=$2 offset=$3 indices=${4:-} earlier='' name id
  for name in $after; do earlier+=${ids[$name]:+:${ids[$name]}}; done
  id=$(sbatch --parsable --export="ALL,TASK_OFFSET=$offset" ${earlier:+--dependency="afterok$earlier" --kill-on-invalid-dep=yes} \
    ${indices:+--array="$indices"} "jobs/$stage.sh")
  ids[$stage]+=${ids[$stage]:+:}${id%%;*}
  printf '%s\t%s\t%s\t%s\t%s\n' "$stage" "${id%%;*}" "$offset" "$indices" "$(date +%s)" >>jobs/submitted.tsv
  echo "$stage: job ${id%%;*}${earlier:+ after ${earlier#:}}"
}

for wanted in "$@"; do
  case $wanted in
    models) submit models "" 0 ;;
    compile) submit compile "" 0 ;;
    simulate)
      submit simulate "models compile" 0 0
      ;;
    simulate=*)
      declare -A tasks=()
      indices=${wanted#*=}
      for index in ${indices//,/ }; do
        offset=$((index / 1000 * 1000))
        tasks[$offset]+=${tasks[$offset]:+,}$((index - offset))
      done
      for offset in "${!tasks[@]}"; do submit simulate "models compile" "$offset" "${tasks[$offset]}"; done
      ;;
    report) submit report "simulate" 0 ;;
  esac
done
