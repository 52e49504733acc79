#!/bin/bash
# Runs this run's stages one after the other, here.
#   jobs/submit.sh                         all stages
#   jobs/submit.sh simulate=0,2 report     some stages; of simulate, some tasks
set -euo pipefail
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
mkdir -p logs jobs/state

run() { # STAGE [TASK]
  echo "$1${2:+ $2} ..."
  printf '%s\t%s\t%s\t\t%s\n' "$1" "$$" "${2:-0}" "$(date +%s)" >>jobs/submitted.tsv
  bash "jobs/$1.sh" "${@:2}" || {
    echo "$1${2:+ $2} failed: see logs/$1${2:+-$2}.log" >&2
    exit 1
  }
}

for wanted in "$@"; do
  case $wanted in
    models) run models ;;
    compile) run compile ;;
    simulate | simulate=*)
      indices=0
      [ "$wanted" = simulate ] || indices=${wanted#*=}
      for index in ${indices//,/ }; do run simulate "$index"; done
      ;;
    report) run report ;;
  esac
done
