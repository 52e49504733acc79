#!/bin/bash
# A real OpenPBS on this machine: a server node with scheduler, communication and database, and nodes; see
# ../cluster/namespaces.sh, and ../cluster/stop.sh, which ends it.
#
#   start.sh BASE NODES CPUS SHARED... <QMGR     root; OpenPBS in /opt/pbs (build.sh); Debian: postgresql iproute2
#
# QMGR are further lines for qmgr. BASE holds everything it writes; what else below /tmp the nodes are to see is SHARED. BASE/in.sh COMMAND runs on the
# server node. Nothing lies in /etc: each node has its configuration from PBS_CONF_FILE.
set -euo pipefail
base=$1 nodes=$2 cpus=$3
shift 3
# shellcheck disable=SC2034  # for namespaces.sh
shared=("$base" "$@")
pbs=/opt/pbs
export PATH=$pbs/bin:$pbs/sbin:/usr/sbin:/usr/bin:/sbin:/bin TZ=UTC
mkdir -p "$base"/{log,pid}
chmod 755 "$base"
: >"$base/pids"
# shellcheck source-path=SCRIPTDIR/../cluster source=namespaces.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cluster/namespaces.sh"
network login 10.94.0 "$nodes"

on() { # NAME COMMAND...
  local name=$1
  shift
  PBS_CONF_FILE=$base/$name.conf inside "$name" "$@"
}

install() { # NAME server|execution: its home, at a place that only root can write above, and its configuration
  local serves=0 user=()
  [ "$2" = execution ] || serves=1 user=(postgres)
  mkdir -p "$base/home.$1" $pbs/home
  inside "$1" mount --bind "$base/home.$1" $pbs/home
  cat >"$base/$1.conf" <<CONF
PBS_EXEC=$pbs
PBS_HOME=$pbs/home
PBS_SERVER=login
PBS_START_SERVER=$serves
PBS_START_SCHED=$serves
PBS_START_COMM=$serves
PBS_START_MOM=$((1 - serves))
PBS_SCP=/bin/false
CONF
  on "$1" "$pbs/libexec/pbs_postinstall" "$2" "" "$pbs" "$pbs/home" "${user[@]}" sameconf >"$base/log/install.$1" 2>&1
  # What jobs see, as a site's login scripts would have it.
  printf '%s\n' TZ=UTC "PATH=$pbs/bin:/usr/bin:/bin" "PBS_CONF_FILE=$base/$1.conf" >"$base/home.$1/pbs_environment"
}

cat >"$base/in.sh" <<IN
#!/bin/bash
export PBS_CONF_FILE=$base/login.conf PATH=\$PATH:$pbs/bin:$pbs/sbin
exec nsenter -t $(cat "$base/pid/login") -n -u -m --wd="\$PWD" -- "\$@"
IN
chmod +x "$base/in.sh"

install login server
for i in $(seq "$nodes"); do
  install "node$i" execution
  # Results are where they belong already; jobs of root are.
  # shellcheck disable=SC2016  # words of pbs_mom
  printf '%s\n' '$clienthost login' '$usecp *:/ /' '$restrict_user False' >"$base/home.node$i/mom_priv/config"
done

# The database, and the server that fills it: what pbs_habitat does, which would stop the server again.
database() {
  on login env PBS_DATA_SERVICE_USER=postgres PBS_DATA_SERVICE_PORT=15007 bash -c \
    ". $pbs/libexec/pbs_db_env && exec $pbs/libexec/pbs_db_utility install_db" >"$base/log/database" 2>&1
}
for try in 1 2 3; do # it gives up where PostgreSQL takes more than a moment to start
  database && break
  [ "$try" != 3 ] || { cat "$base/log/database" >&2; exit 1; }
  sleep 2
  pkill -TERM -u postgres --ns "$(cat "$base/pid/login")" --nslist net postgres || true
  sleep 2
  rm -rf "$base/home.login/datastore"
done
{
  on login pbs_comm
  for i in $(seq "$nodes"); do on "node$i" pbs_mom; done
  on login pbs_server -t create
  on login pbs_sched
} >"$base/log/start" 2>&1 || {
  cat "$base/log/start" >&2
  exit 1
}

{
  for i in $(seq "$nodes"); do
    echo "create node node$i"
    echo "set node node$i resources_available.ncpus=$cpus, resources_available.mem=16gb"
  done
  cat <<'CONF'
create queue normal queue_type=execution, enabled=true, started=true
set server default_queue = normal
set server acl_roots = root
set server flatuid = true
set server job_history_enable = true
set server scheduler_iteration = 5
set server query_other_jobs = true
set server resources_default.walltime = 00:10:00
CONF
  cat # from standard input
} | "$base/in.sh" qmgr >"$base/log/qmgr" 2>&1 || {
  cat "$base/log/qmgr" >&2
  exit 1
}
for _ in $(seq 150); do
  [ "$("$base/in.sh" pbsnodes -a 2>/dev/null | grep -c '^ *state = free')" = "$nodes" ] && exit 0
  sleep 0.1
done
echo "PBS did not come up" >&2
"$base/in.sh" pbsnodes -a >&2 || true
exit 1
