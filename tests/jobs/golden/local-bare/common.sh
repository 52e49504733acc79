# Sourced by the job scripts of this run: what made-up asks for, and the steps the stages share.
# On the host it needs bash and the scheduler; Python and the package are in the image, where there is one.
# shellcheck shell=bash disable=SC2034,SC2153,SC2317,SC2329  # the script that sources this sets, uses and calls the rest
set -euo pipefail

RUN=$PWD NAME=$STAGE${INDEX:+-$INDEX}
LOG=$RUN/logs/$NAME.log                    # what the ranks say; it is to grow
MARKER=$RUN/jobs/state/$NAME.json          # how it went
PARTIAL=$RUN/.$NAME.partial                # results lie here until they are whole
PRODUCT=$PARTIAL                           # where the ranks write them
STAGED=''                                  # or on scratch, in a folder this script has made
REASON='' LAUNCHED='' STOPPED_AT='' READY='' MARKED=''
WORKED=''                                  # the work itself has come to its end
TEMPORARY='' ROOM=()                       # for programs, where TMPDIR will not do
IN=() ALONE=() RANKED=() PYTHON=false      # until prepare says what they are

((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || {
  echo "bash $BASH_VERSION: these scripts need 4.4 or later" >&2
  exit 2
}

LEASE=jobs/leases/$NAME
TOKEN=$JOB-$NAME-$$-$RANDOM$RANDOM # all programs that this script starts have it in their environment
TAKEN=''

take() { # Makes this script the owner of its task, unless one that may still work on it is; then ends with status 75.
  local mine=jobs/leases/.$NAME.$TOKEN held='' seen tries=0
  mkdir -p jobs/leases
  printf '%s\n' "token=$TOKEN" "scheduler=local" "job=$JOB" "host=$(uname -n)" "boot=$(boot)" "pid=$$" \
    "start=$(started $$)" "since=$(date +%s)" >"$mine"
  until ln "$mine" "$LEASE" 2>/dev/null || (set -o noclobber && cat "$mine" >"$LEASE") 2>/dev/null; do
    ((++tries < 50)) || { echo "$NAME: $LEASE cannot be made" >&2; exit 1; }
    seen=$(cat "$LEASE" 2>/dev/null) || { sleep 0.1; continue; } # given up this moment
    held=$(owner "$seen") && {
      rm -f "$mine"
      echo "$NAME: $held works on it; wait for its end, or end it. If you are sure that it is gone, remove $LEASE" >&2
      exit 75
    }
    # Of two that find it forsaken, one gets it.
    mv -- "$LEASE" "$mine.old" 2>/dev/null || continue
    [ "$(cat "$mine.old")" = "$seen" ] || ln "$mine.old" "$LEASE" 2>/dev/null || true
    rm -f "$mine.old"
  done
  rm -f "$mine"
  TAKEN=yes
  # Held by all that this script starts, too; where a file system has no locks, there is none.
  exec {LEASE_LOCK}>>"$LEASE.lock"
  flock -n "$LEASE_LOCK" 2>/dev/null || true
  export CEREBELLAR_MODELS_LEASE=$TOKEN
}

owner() { # Says who holds a lease; fails if that is certainly gone: its scheduler or its host says so, a clock does not.
  local key value token='' scheduler='' job='' host='' boot='' pid='' start='' others
  while IFS='=' read -r key value; do
    case $key in token | scheduler | job | host | boot | pid | start) printf -v "$key" %s "$value" ;; esac
  done <<<"$1"
  if [ "$scheduler" = local ]; then
    if [ "$boot" != "$(boot)" ]; then
      [ "$host" != "$(uname -n)" ] || return 1 # this machine has been started anew
      echo "process $pid on $host"
    elif [ "$host" = "$(uname -n)" ]; then
      others=$(members "$token")
      if [ "$(started "$pid")" = "$start" ]; then
        echo "process $pid on this machine"
      elif [ -n "$others" ]; then
        echo "what a script that was killed had started (kill ${others//$'\n'/ })"
      else return 1; fi
    else # another container on this machine, whose processes are not seen from here, but their lock is
      ! flock -n "$LEASE.lock" true 2>/dev/null || return 1
      echo "process $pid in $host"
    fi
  else
    echo "job $job of $scheduler"
  fi
}

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }

started() { # When a process began, in ticks since the machine did; nothing if there is none. Numbers of processes come again.
  local line
  line=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  line=${line##*) }
  # shellcheck disable=SC2086  # its fields
  set -- $line
  [ "$1" = Z ] || echo "${20}"
}

members() { # Processes on this machine that the script of this token has started, and those that these have.
  local file files
  files=$(grep -lsxzF -- "CEREBELLAR_MODELS_LEASE=$1" /proc/[0-9]*/environ) || true # some end meanwhile
  [ -n "$files" ] || return 0
  while IFS= read -r file; do
    file=${file%/environ}
    [ -z "$(started "${file#/proc/}")" ] || echo "${file#/proc/}" # grep itself is gone
  done <<<"$files"
}

keep() { # Tells that this script is at work; stops it if its lease is another's.
  if grep -qsxF "token=$TOKEN" "$LEASE"; then touch -c "$LEASE"; else stop lease; fi
}

give_up() {
  [ -z "$TAKEN" ] || ! grep -qsxF "token=$TOKEN" "$LEASE" || rm -f "$LEASE" "$LEASE.lock"
}

cleanse() { # What of the caller's environment would change what is computed does not reach a stage.
  local name
  for name in $(compgen -e); do
    case $name in
      CEREBELLAR_MODELS_WATCHDOG_S | CEREBELLAR_MODELS_GRACE_S | CEREBELLAR_MODELS_OTHER_IMAGE) ;;
      CEREBELLAR_MODELS_CONFIGURATIONS | CEREBELLAR_MODELS_IN_IMAGE | NUMBA_CACHE_DIR | NUMBA_CPU_NAME) ;;
      BSB_* | CEREBELLAR_MODELS_* | NEST_* | PYNEST_* | NUMBA_* | NEURON_* | PYTHONSTARTUP | PYTHONOPTIMIZE) unset "$name" ;;
    esac
  done
}

prepare() { # What the site asks for, and how it starts a program: in an image, on ranks.
  cleanse
  export CEREBELLAR_MODELS_LEASE=$TOKEN CEREBELLAR_MODELS_STAGE=$STAGE CEREBELLAR_MODELS_FINISHED=$PARTIAL/finished
  # Cron and services name no home, and Open MPI does not start without.
  [ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
  export HOME
  export PYTHONUTF8=1 PYTHONUNBUFFERED=1 PYNEST_QUIET=1 OMP_NUM_THREADS=$THREADS
  export CEREBELLAR_MODELS_USAGE=$PARTIAL/usage # each rank leaves the memory it used
  # Open MPI from PyPI complains of UCX, which it has no use for on one machine; the image's is set by its own files.
  if ((RANKS > 1)) && [ -z "${CEREBELLAR_MODELS_IN_IMAGE:-}" ]; then export OMPI_MCA_osc=${OMPI_MCA_osc:-^ucx}; fi
  # Without mpi4py, BSB takes any variable with "mpi" in its name for a running MPI.
  if ((RANKS == 1)); then export BSB_IGNORE_PARALLEL=1; fi
  WATCHDOG_S=${CEREBELLAR_MODELS_WATCHDOG_S:-$WATCHDOG_S} # a log that is silent for so long is a hang
  GRACE_S=${CEREBELLAR_MODELS_GRACE_S:-20}                # from asking the ranks to stop to killing them
  [[ $WATCHDOG_S =~ ^[1-9][0-9]{0,8}$ && $GRACE_S =~ ^[0-9]{1,9}$ ]] || {
    echo "CEREBELLAR_MODELS_WATCHDOG_S, CEREBELLAR_MODELS_GRACE_S: '$WATCHDOG_S' and '$GRACE_S' are to be whole seconds"
    exit 1
  }

  IN=()
  ALONE=()
  PYTHON=python3
  unset CEREBELLAR_MODELS_IMAGE_DIGEST

  # A part of an array of PBS has brackets in its TMPDIR, with which Open MPI 4.1 cannot start a process of its own.
  if [[ ${TMPDIR:-/tmp} =~ [^A-Za-z0-9_./-] ]]; then
    local above=${TMPDIR%/*}
    [[ -w $above && ! $above =~ [^A-Za-z0-9_./-] ]] || above=/tmp
    TEMPORARY=$(mktemp -d "$above/cerebellar-models.XXXXXX")
    export TMPDIR=$TEMPORARY
    # shellcheck disable=SC2016  # for the shell on the rank, which may be on another node
    ROOM=(sh -c 'mkdir -p -- "$TMPDIR" && exec "$@"' room)
  fi
  RANKED=("${IN[@]}")
  if ((RANKS > 1)); then
    local mpirun=mpirun
    # The launcher beside a Python is the one that its MPI was installed with.
    [ ! -x "${PYTHON%/*}/mpirun" ] || mpirun=${PYTHON%/*}/mpirun
    LAUNCH=("$mpirun" -np "$RANKS")
    case $("$mpirun" --version 2>/dev/null) in
      *"Open MPI"* | *open-mpi*)
        # Its slots are cores, fewer than the ranks a small machine can run; binding takes the first ones, whoever else is there.
        LAUNCH+=(--oversubscribe --bind-to none)
        [ "$(id -u)" != 0 ] || LAUNCH+=(--allow-run-as-root)
        ;;
    esac
    RANKED=("${LAUNCH[@]}" "${IN[@]}")
  fi
  signal_ranks() { kill -s "$1" "$LAUNCHED" || true; }
}

open_log() { # First of all: whatever fails from here on is said in the log, and marked.
  mkdir -p logs jobs/state
  take
  exec >>"$LOG" 2>&1
  echo "=== $NAME: job $JOB on $HOSTS, $(date)"
  MARKED=$(cat "$MARKER" 2>/dev/null || true)
  trap 'stop walltime' USR1
  trap 'stop cancelled' TERM INT
  trap 'stop hangup' HUP
  trap finish EXIT
}

begin() { # Checks what this stage needs and marks it as running, before anything is computed.
  prepare
  "${ALONE[@]}" "$PYTHON" -m cerebellar_models.on_node.task begin "$RUN" "$NAME" --job "$JOB" --hosts "$HOSTS" || {
    (($? == 100)) || { REASON=${REASON:-begin}; exit 1; }
    trap - EXIT # done before
    give_up
    tidy
    exit 0
  }
  mkdir -p "$PARTIAL/usage"
  READY=yes
}

tidy() { # The temporary folder of this script's own, on all nodes of the job.
  local host
  [ -n "$TEMPORARY" ] || return 0
  rm -rf -- "$TEMPORARY"
}

stop() { # Asks the ranks to end; watch sees to it that they do.
  REASON=${REASON:-$1} STOPPED_AT=${STOPPED_AT:-$SECONDS}
  echo "=== $NAME: stopping ($REASON), $(date)"
  [ -z "$LAUNCHED" ] || kill -TERM "$LAUNCHED" 2>/dev/null || true
}

on_ranks() { # Runs a command on the ranks, once it is sure that they are as many as were asked for.
  if ((RANKS == 1)); then
    watch "${RANKED[@]}" "$@"
    return
  fi
  watch "${RANKED[@]}" "$PYTHON" -m cerebellar_models.on_node.preflight "$RANKS" --stage "$STAGE" --on-host || {
    REASON=${REASON:-preflight}
    return 1
  }
  watch "${RANKED[@]}" "$PYTHON" -m cerebellar_models.on_node.world_size "$RANKS" || {
    REASON=${REASON:-world size}
    return 1
  }
  watch "${RANKED[@]}" "$@"
}

work() { # Runs the work itself. Nothing but its own end is taken for one.
  "$@" || return
  WORKED=yes
}

watch() { # Runs a command until it ends, the job has to stop, or the log has been silent for too long.
  [ -z "$REASON" ] || return 1
  echo "$*" 2>/dev/null >"$PARTIAL/command" || true # for the marker
  # It ends with this script. PBS, too, leaves alone what a killed one has started.
  if setpriv --pdeathsig TERM true 2>/dev/null; then set -- setpriv --pdeathsig TERM "$@"; fi
  "$@" &
  LAUNCHED=$!
  local size before=-1 grown=$SECONDS kept=$SECONDS
  while kill -0 "$LAUNCHED" 2>/dev/null; do
    sleep 0.2 &
    wait "$!" || true # a signal ends this wait, not the job
    size=$(stat -c %s "$LOG")
    if ((size != before)); then before=$size grown=$SECONDS; fi
    if ((SECONDS - kept >= 20)); then kept=$SECONDS && keep; fi
    if [ -z "$REASON" ] && ((SECONDS - grown >= WATCHDOG_S)); then
      echo "=== $NAME: nothing new for $WATCHDOG_S s: a hang; where each rank is:"
      REASON=hang
      signal_ranks USR2 # each prints its stack
      sleep 5
      stop hang
    fi
    if [ -z "$REASON" ] && ((WALLTIME_S > 0 && SECONDS >= WALLTIME_S - 120)); then stop walltime; fi
    if [ -n "$REASON" ] && ((SECONDS - STOPPED_AT >= GRACE_S)); then
      kill -KILL "$LAUNCHED" 2>/dev/null || true
      end_members
    fi
  done
  local status=0
  wait "$LAUNCHED" || status=$?
  LAUNCHED=''
  [ -z "$REASON" ] || return 1
  return "$status"
}

end_members() { # Whatever is left on this node of what this script has started.
  local left
  for left in $(members "$TOKEN"); do kill -KILL "$left" 2>/dev/null || true; done
}

finish() { # Whatever has happened: whole results get their final names, and a marker says how it ended.
  local status=$?
  trap - EXIT
  trap '' USR1 TERM INT HUP
  end_members
  if [ "$REASON" = lease ]; then # what lies here, and the marker, are another's
    [ -z "$STAGED" ] || rm -rf -- "$STAGED"
    tidy
    exit 75
  fi
  if [ -z "$READY" ]; then # modules, environment or the first check
    ((status != 0)) || status=1
    REASON=${REASON:-set-up failed}
  elif [ -z "$WORKED" ] && ((status == 0)); then
    status=1 REASON=${REASON:-no end}
  fi
  echo "=== $NAME: ended with status $status${REASON:+ ($REASON)}, $(date)"
  "${ALONE[@]}" "$PYTHON" -m cerebellar_models.on_node.task end "$RUN" "$NAME" --status "$status" --reason "$REASON" || {
    ((status != 0)) || status=1
    [ "${REASON:-begin}" != begin ] || REASON='its Python cannot run cerebellar_models'
    [ "$(cat "$MARKER" 2>/dev/null || true)" != "$MARKED" ] || # Python itself did not start, or knows no such task
      printf '{"state": "failed", "job": "%s", "hosts": "%s", "started": %s, "reason": "%s"}\n' \
        "$JOB" "$HOSTS" "$(date +%s)" "$REASON; see logs/$NAME.log" >"$MARKER"
  }
  give_up
  tidy
  if [ "$REASON" = walltime ]; then requeue; fi
  exit "$status"
}
