#!/bin/bash
# Submits this run, each stage after those it needs. Needs SLURM's commands and nothing else.
#   jobs/submit.sh                         all stages
#   jobs/submit.sh simulate=0,2 report     some stages; of simulate, some tasks
# All of it is in the queue afterwards, or nothing (status 1). While a job of this run waits or runs, or the scheduler does
# not answer, it refuses (status 2).
set -euo pipefail
set -f # 9[0] is the id of a job, not a pattern
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

look() { # CLUSTER OPTION...: what squeue says; status 1 and the reason if it does not answer
  local cluster=$1 said
  shift
  said=$(squeue ${cluster:+--clusters="$cluster"} --noheader "$@" 2>&1) || {
    [[ $said == *"Invalid job id"* && $* != *--jobs=*,* ]] || {
      tail -n 1 <<<"$said"
      return 1
    }
    said='' # asked for one job alone, it says so of one it does not know
  }
  printf '%s\n' "$said"
}

in_queue() { # CLUSTER OPTION...: ids of what waits or runs, with the cluster where that is not the one at hand
  local said id where=$1
  said=$(look "$@" --format=%F) || {
    echo "$said"
    return 1
  }
  for id in $said; do
    [[ ! $id =~ ^[0-9]+$ ]] || echo "$id${where:+;$where}"
    [[ $id =~ ^[0-9]+$ || $id == CLUSTER: ]] || where=$id # a heading: CLUSTER: cm2
  done | sort -u
}

listed() { # ID...: those of them that wait or run; status 1 and the reason if SLURM does not answer
  local id where said
  local -A numbers=()
  for id in "$@"; do
    where=.
    [[ $id != *';'* ]] || where=.${id#*;}
    numbers[$where]+=${numbers[$where]:+,}${id%%;*}
  done
  for where in "${!numbers[@]}"; do
    said=$(in_queue "${where#.}" --jobs="${numbers[$where]}") || {
      [[ $said == *"Invalid job id"* ]] || {
        echo "$said"
        return 1
      }
      said='' # one of them is forgotten, which tells nothing of the others
      for id in ${numbers[$where]//,/ }; do
        said+=$(in_queue "${where#.}" --jobs="$id")$'\n' || return 1
      done
    }
    printf '%s\n' "$said"
  done
}

is_over() { # ID: whether SLURM says that it has ended, or that there is no such job
  local where='' said
  [[ $1 != *';'* ]] || where=${1#*;}
  said=$(squeue ${where:+--clusters="$where"} --noheader --states=all --format=%T --jobs="${1%%;*}" 2>&1) || {
    [[ $said == *"Invalid job id"* ]]
    return
  }
  said=$(grep -v '^CLUSTER:' <<<"$said") && ! grep -Evxq 'BOOT_FAIL|COMPLETED|DEADLINE|FAILED|NODE_FAIL|OUT_OF_MEMORY|PREEMPTED|TIMEOUT|CANCELLED' <<<"$said"
}

named() { # NAME: ids of the jobs of this name that wait or run
  in_queue "" --name="$1"
}

drop() { # ID...
  local id where failed=0
  for id in "$@"; do
    where=''
    [[ $id != *';'* ]] || where=${id#*;}
    scancel ${where:+--clusters="$where"} "${id%%;*}" || failed=1
  done
  return $failed
}

drop_named() { # NAME: whether it is listed yet or not
  scancel --user="$(id -un)" --name="$1"
}

send() { # NAME OFFSET EARLIER INDICES STAGE
  TASK_OFFSET=$2 sbatch --parsable --export=ALL --job-name="$1" ${3:+--dependency="afterok$3" --kill-on-invalid-dep=yes} \
    ${4:+--array="$4"} "jobs/$5.sh"
}
for command in sbatch squeue scancel; do
  command -v "$command" >/dev/null || {
    printf 'no %s here: copy this folder to where it is (rsync -a %q HOST:FOLDER/) and run FOLDER/jobs/submit.sh\n' "$command" "$PWD/" >&2
    exit 2
  }
done

# What of this shell reaches the scheduler and the jobs is this list. What a module, a job around this shell or the user
# has set otherwise (SBATCH_TIMELIMIT, SLURM_MEM_PER_CPU, BSB_SEED) would change the jobs without a word.
for name in $(compgen -e); do
  case $name in
    HOME | USER | LOGNAME | SHELL | PATH | LD_LIBRARY_PATH | LANG | LANGUAGE | LC_* | TZ | KRB5CCNAME) ;;
    BASH_ENV | MODULESHOME | MODULEPATH | MODULEPATH_ROOT) ;;
    LMOD_CMD | LMOD_DIR | LMOD_PKG | LMOD_ROOT | LMOD_SYSTEM_*) ;;
    XDG_CACHE_HOME | XDG_CONFIG_HOME | XDG_DATA_HOME | APPTAINER_CACHEDIR | SINGULARITY_CACHEDIR) ;;
    CEREBELLAR_MODELS_WATCHDOG_S | CEREBELLAR_MODELS_GRACE_S | CEREBELLAR_MODELS_CONFIGURATIONS | CEREBELLAR_MODELS_OTHER_IMAGE) ;;
    SLURM_CONF | PBS_CONF_FILE | PBS_DEFAULT | PBS_SERVER | PBS_PRIMARY | PBS_SECONDARY | PBS_EXEC | PBS_HOME | PBS_BATCH_SERVICE_PORT | PBS_AUTH_METHOD | PBS_ENCRYPT_METHOD) ;;
    *) export -n "${name?}" ;;
  esac
done
while read -r _ _ name; do
  case $name in
    module | ml | _module* | clearLmod | clearMT | xSetTitleLmod) ;;
    *) export -nf "${name?}" ;;
  esac
done < <(declare -Fx)

# One submission at a time. The link names who holds it, and appears at once or not at all, on network file systems, too.
lock=jobs/submit.lock me="$(uname -n) $$" held=''
holds() { # HOST PID: whether such a process may still be submitting this run
  [ "$1" = "$(uname -n)" ] || return 0 # nobody here can tell
  [ -d "/proc/$2" ] || return 1
  local where
  where=$(readlink "/proc/$2/cwd") || return 0
  [ "$where" = "$(pwd -P)" ]
}
take_lock() {
  mkdir -p logs jobs/state
  if ln -s "$me" $lock 2>/dev/null; then return; fi
  local holder
  holder=$(readlink $lock) || refuse "$PWD/$lock cannot be made or read: is the folder yours, and the disk not full?"
  # shellcheck disable=SC2086  # its two words
  ! holds $holder || refuse "$PWD: is being submitted by process ${holder#* } on ${holder% *}; wait for its end, or, if it is gone, remove $lock"
  # Of those who see that its holder is gone, one removes it.
  ln -s "$me" $lock.stale 2>/dev/null || refuse "$PWD: is being submitted; if it is not, remove $lock and $lock.stale"
  [ "$(readlink $lock)" != "$holder" ] || rm -f $lock
  if ln -s "$me" $lock 2>/dev/null; then held=yes; fi
  rm -f $lock.stale
  [ -n "$held" ] || refuse "$PWD: is being submitted by another process"
}

declare -A ids=()      # of the jobs submitted now, by stage
declare -A nameless=() # names of those of which no id is known
complete=''
finish() { # All or nothing, whatever ends this script.
  local status=$? name all=${ids[*]:-} left=''
  trap - EXIT
  trap '' HUP INT TERM
  if [ -z "$complete" ] && [ -n "$all${!nameless[*]}" ]; then
    # shellcheck disable=SC2086  # one word for each job
    [ -z "$all" ] || drop $all || left=yes
    for name in "${!nameless[@]}"; do drop_named "$name" || left=yes; done # it may be in the queue all the same
    if [ -z "$left" ]; then
      for name in $all "${!nameless[@]}"; do echo "$name" >>jobs/cancelled; done
      echo "nothing of this submission is left in the queue" >&2
    else
      echo "some of this submission may still be in the queue: look with jobs status, and end it with jobs cancel" >&2
    fi
  fi
  rm -f $lock
  exit "$status"
}

refuse_if_queued() { # Nothing of this run is to be in the queue twice.
  local -A since=() open=()
  local id time name job now told
  now=$(date +%s)
  while IFS='|' read -r _ id _ _ time name; do
    case $id in
      '' | ';'*) [ -z "$name" ] || open[$name]=${time:-0} ;;
      *)
        since[$id]=${time:-0}
        [ -z "$name" ] || open[$name]='' # its id is known
        ;;
    esac
  done < <(tr '\t' '|' 2>/dev/null <jobs/submitted.tsv || true)
  for name in "${!open[@]}"; do
    [ -n "${open[$name]}" ] || continue
    told=$(named "$name") || refuse "$PWD: whether $name waits or runs is unknown: ${told:-the scheduler does not answer}"
    for job in $told; do refuse "$PWD: job $job waits or runs already; wait for its end, or cancel it first"; done
    time=$((now - ${open[$name]}))
    ((time >= 300)) || grep -qFx "$name" jobs/cancelled 2>/dev/null ||
      refuse "$PWD: the submission of $name was interrupted $time s ago, and the scheduler may not list it yet; try again in $((300 - time)) s"
  done
  [ -n "${!since[*]}" ] || return 0
  told=$(listed "${!since[@]}") || refuse "$PWD: whether its jobs wait or run is unknown: ${told:-the scheduler does not answer}"
  for job in $told; do refuse "$PWD: job $job waits or runs already; wait for its end, or cancel it first"; done
  for job in "${!since[@]}"; do
    time=$((now - ${since[$job]}))
    ((time >= 300)) || is_over "$job" ||
      refuse "$PWD: job $job was submitted $time s ago, and the scheduler may not list it yet; try again in $((300 - time)) s"
  done
}

submit() { # STAGE AFTER OFFSET [INDICES]
  local stage=$1 after=$2 offset=$3 indices=${4:-} earlier='' name id said status=0 each
  for name in $after; do
    for each in ${ids[$name]:-}; do earlier+=:${each%%;*}; done
  done
  name=$stage-$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n') # 15 characters, which every version takes
  # Written down first: if this script is killed meanwhile, the job can be found by its name.
  record ""
  nameless[$name]=yes
  said=$(send "$name" "$offset" "$earlier" "$indices" "$stage") || status=$?
  id=$(grep -Ex '[0-9]+(;[A-Za-z0-9_.-]+)?' <<<"$said" || true) # whatever a site prints around it
  if ((status != 0)) || [[ ! $id =~ ^[^[:space:]]+$ ]]; then
    [ -z "$said" ] || printf '%s\n' "$said" >&2
    id=$(named "$name") || id='' # it may have failed after it had submitted
    [[ $id =~ ^[^[:space:]]+$ ]] || {
      echo "$stage: sbatch failed (status $status), or did not say which job it has made" >&2
      exit 1
    }
  fi
  ids[$stage]+=${ids[$stage]:+ }$id
  record "$id"
  unset "nameless[$name]"
  echo "$stage: job ${id%%;*}${earlier:+ after ${earlier#:}}"
}
record() { # JOB
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$stage" "$1" "$offset" "$indices" "$(date +%s)" "$name" >>jobs/submitted.tsv
}

take_lock
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
refuse_if_queued

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
complete=yes
