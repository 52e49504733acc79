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
IN=() ALONE=() RANKED=() PYTHON=false      # until prepare says what they are

prepare() { # What the site asks for, and how it starts a program: in an image, on ranks.
  export PYTHONUNBUFFERED=1 PYNEST_QUIET=1 OMP_NUM_THREADS=$THREADS
  export CEREBELLAR_MODELS_USAGE=$PARTIAL/usage # each rank leaves the memory it used
  # BSB's locks are one-sided communication. Of Open MPI 4's ways to it, this one fails between nodes, and is tried first.
  export OMPI_MCA_osc=${OMPI_MCA_osc:-^pt2pt}
  export HDF5_USE_FILE_LOCKING=FALSE # this file system cannot lock; only one rank at a time writes
  set +u # what module does is not written for it
  module load Apptainer
  set -u
  WATCHDOG_S=${CEREBELLAR_MODELS_WATCHDOG_S:-$WATCHDOG_S} # a log that is silent for so long is a hang
  GRACE_S=${CEREBELLAR_MODELS_GRACE_S:-20}                # from asking the ranks to stop to killing them

  # Ranks in user namespaces of their own cannot reach each other's memory through /proc.
  export UCX_POSIX_USE_PROC_LINK=n
  # On a rank, PMIx answers in a folder of the scheduler, which the image has to see.
  # shellcheck disable=SC2016  # for the shell on the rank
  IN=(bash -c 'exec apptainer -q exec ${PMIX_SERVER_TMPDIR:+--bind "$PMIX_SERVER_TMPDIR"} "$@"' in-image)
  IN+=(--bind "$RUN")
  IN+=(--bind "$PROJECT")
  IN+=(/images/cerebellar-models.sif)
  ALONE=("${IN[@]}")
  PYTHON=python

  RANKED=(srun --nodes="$NODES" --ntasks="$RANKS" --ntasks-per-node="$RANKS_PER_NODE" --cpus-per-task="$THREADS")
  RANKED+=(--kill-on-bad-exit=1 --mpi=pmix)
  RANKED+=("${IN[@]}")
  signal_ranks() { # which are a step of SLURM's, but for those of models and report
    case $STAGE in
      compile | simulate) scancel --signal="$1" "$JOB" || true ;;
      *) kill -s "$1" "$LAUNCHED" || true ;;
    esac
  }
}

open_log() { # First of all: whatever fails from here on is said in the log, and marked.
  mkdir -p logs jobs/state
  exec >>"$LOG" 2>&1
  echo "=== $NAME: job $JOB on $HOSTS, $(date)"
  MARKED=$(cat "$MARKER" 2>/dev/null || true)
  trap 'stop walltime' USR1
  trap 'stop cancelled' TERM INT
  trap finish EXIT
}

begin() { # Checks what this stage needs and marks it as running, before anything is computed.
  prepare
  command -v apptainer >/dev/null || {
    echo "no apptainer on $HOSTS: name the module that brings it (--module), or copy this folder to where it is"
    REASON="no apptainer"
    exit 1
  }
  "${ALONE[@]}" "$PYTHON" -m cerebellar_models.deploy.task begin "$RUN" "$NAME" --job "$JOB" --hosts "$HOSTS" || {
    (($? == 100)) || { REASON=${REASON:-begin}; exit 1; }
    trap - EXIT # done before
    exit 0
  }
  mkdir -p "$PARTIAL/usage"
  READY=yes
}

stop() { # Asks the ranks to end; watch sees to it that they do.
  REASON=${REASON:-$1} STOPPED_AT=${STOPPED_AT:-$SECONDS}
  echo "=== $NAME: stopping ($REASON), $(date)"
  [ -z "$LAUNCHED" ] || kill -TERM "$LAUNCHED" 2>/dev/null || true
}

on_ranks() { # Runs a command on the ranks, once it is sure that they are as many as were asked for.
  watch "${RANKED[@]}" "$PYTHON" -m cerebellar_models.deploy.preflight "$RANKS" || { REASON=${REASON:-preflight}; return 1; }
  watch "${RANKED[@]}" "$PYTHON" -m cerebellar_models.deploy.world_size "$RANKS" || {
    REASON=${REASON:-world size}
    return 1
  }
  watch "${RANKED[@]}" "$@"
}

watch() { # Runs a command until it ends, the job has to stop, or the log has been silent for too long.
  [ -z "$REASON" ] || return 1
  "$@" &
  LAUNCHED=$!
  local size before=-1 grown=$SECONDS
  while kill -0 "$LAUNCHED" 2>/dev/null; do
    sleep 1 &
    wait "$!" || true # a signal ends this wait, not the job
    size=$(stat -c %s "$LOG")
    if ((size != before)); then before=$size grown=$SECONDS; fi
    if [ -z "$REASON" ] && ((SECONDS - grown >= WATCHDOG_S)); then
      echo "=== $NAME: nothing new for $WATCHDOG_S s: a hang; where each rank is:"
      REASON=hang
      signal_ranks USR2 # each prints its stack
      sleep 5
      stop hang
    fi
    if [ -n "$REASON" ] && ((SECONDS - STOPPED_AT >= GRACE_S)); then
      kill -KILL "$LAUNCHED" 2>/dev/null || true
    fi
  done
  local status=0
  wait "$LAUNCHED" || status=$?
  LAUNCHED=''
  [ -z "$REASON" ] || return 1
  return "$status"
}

finish() { # Whatever has happened: whole results get their final names, and a marker says how it ended.
  local status=$?
  trap - EXIT
  trap '' USR1 TERM INT
  if [ -z "$READY" ]; then # modules, environment or the first check
    ((status != 0)) || status=1
    REASON=${REASON:-set-up failed}
  fi
  echo "=== $NAME: ended with status $status${REASON:+ ($REASON)}, $(date)"
  "${ALONE[@]}" "$PYTHON" -m cerebellar_models.deploy.task end "$RUN" "$NAME" --status "$status" --reason "$REASON" || {
    ((status != 0)) || status=1
    [ "$(cat "$MARKER" 2>/dev/null || true)" != "$MARKED" ] || # Python itself did not start, or knows no such task
      printf '{"state": "failed", "job": "%s", "hosts": "%s", "started": %s, "reason": "%s"}\n' \
        "$JOB" "$HOSTS" "$(date +%s)" "${REASON:-Python does not start}; see logs/$NAME.log" >"$MARKER"
  }
  if [ "$REASON" = walltime ]; then requeue; fi
  exit "$status"
}
