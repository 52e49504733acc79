#!/bin/bash
# Runs this run's stages one after the other, here.
#   jobs/submit.sh                         all stages
#   jobs/submit.sh simulate=0,2 report     some stages; of simulate, some tasks
# A signal that asks it to end is handed on; the stage at work stops cleanly, and no other begins.
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
# In the order of the run, each once: what is submitted later waits for what was submitted before.
asked=" $* "
set --
[[ $asked != *" models "* ]] || set -- "$@" models
[[ $asked != *" compile "* ]] || set -- "$@" compile
if [[ $asked == *" simulate "* ]]; then
  set -- "$@" simulate
elif [[ $asked == *" simulate="* ]]; then
  set -- "$@" "simulate=$(grep -xE '[0-9]+' <<<"${asked//[ ,=]/$'\n'}" | sort -nu | paste -sd , -)"
fi
[[ $asked != *" report "* ]] || set -- "$@" report
mkdir -p logs jobs/state

STAGE_PID='' ENDING=''
end() {
  ENDING=$1
  [ -z "$STAGE_PID" ] || kill -s "$1" "$STAGE_PID" 2>/dev/null || true
}
trap 'end TERM' TERM INT
trap 'end HUP' HUP

run() { # STAGE [TASK]
  local name=$1${2:+-$2} status=0
  echo "$1${2:+ $2} ..."
  printf '%s\t%s\t%s\t\t%s\n' "$1" "$$" "${2:-0}" "$(date +%s)" >>jobs/submitted.tsv
  if setpriv --pdeathsig TERM true 2>/dev/null; then
    setpriv --pdeathsig TERM bash "jobs/$1.sh" "${@:2}" & # it ends with this script
  else
    bash "jobs/$1.sh" "${@:2}" &
  fi
  STAGE_PID=$!
  [ -z "$ENDING" ] || end "$ENDING"
  while :; do # a signal ends a wait
    status=0
    wait "$STAGE_PID" || status=$?
    kill -0 "$STAGE_PID" 2>/dev/null || break
  done
  STAGE_PID=''
  ((status != 75)) || exit 75 # another works on it, and has been named
  if ((status != 0)); then
    echo "$1${2:+ $2} failed: see logs/$name.log" >&2
    exit 1
  fi
  [ -z "$ENDING" ] || exit 1
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
