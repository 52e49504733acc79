#!/bin/bash
# A real SLURM cluster on this machine: a login node with the controller, and nodes; see namespaces.sh.
#
#   start.sh BASE NODES CPUS SHARED...     root; Debian: slurm-wlm slurmdbd mariadb-server munge libpmix-dev iproute2
#
# It keeps accounts: sacct knows what each job used, and an account other than "cerebellum" is refused.
# BASE holds everything it writes; what else below /tmp the nodes are to see is SHARED. BASE/in.sh COMMAND runs on the
# login node; BASE/pids has the process that holds each namespace, for stop.sh.
set -euo pipefail
base=$1 nodes=$2 cpus=$3
shift 3
shared=("$base" "$@")
net=10.93.0
mkdir -p "$base"/{munge,socket,state,log,pid,database}
chmod 755 "$base" "$base/socket"
chmod 700 "$base/munge"
: >"$base/pids"
# shellcheck source-path=SCRIPTDIR source=namespaces.sh
. "$(dirname "${BASH_SOURCE[0]}")/namespaces.sh"
network login "$net" "$nodes"

(umask 077; head -c 128 /dev/urandom >"$base/munge/key")
inside login munged --key-file="$base/munge/key" --socket="$base/socket/munge" --pid-file="$base/pid/munged" \
  --log-file="$base/munge/log" --seed-file="$base/munge/seed" --num-threads=2

# Accounting. Nothing in the database outlives the test: it need not be safe on the disk.
database() { mariadb --no-defaults --socket="$base/socket/database" --user=root "$@"; }
mariadb-install-db --no-defaults --user=root --datadir="$base/database" --skip-test-db \
  --auth-root-authentication-method=normal >"$base/log/database" 2>&1
setsid nsenter -t "$(cat "$base/pid/login")" -n -u -m -- mariadbd --no-defaults --user=root --datadir="$base/database" \
  --socket="$base/socket/database" --bind-address=127.0.0.1 --innodb-buffer-pool-size=32M \
  --innodb-flush-log-at-trx-commit=0 </dev/null >>"$base/log/database" 2>&1 &
for _ in $(seq 150); do
  database --execute="SELECT 1" >/dev/null 2>&1 && break
  sleep 0.1
done
database --execute="CREATE DATABASE slurm; CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
  CREATE USER slurm@localhost IDENTIFIED BY 'slurm'; GRANT ALL ON slurm.* TO slurm@'127.0.0.1', slurm@localhost;"
(umask 077; cat >"$base/slurmdbd.conf" <<CONF
AuthInfo=socket=$base/socket/munge
DbdHost=login
DbdAddr=$net.1
SlurmUser=root
LogFile=$base/log/slurmdbd
PidFile=$base/pid/slurmdbd
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
CONF
)

cat >"$base/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=login($net.1)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$base/socket/munge,cred_expire=15
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool.%n
SlurmctldPidFile=$base/pid/slurmctld
SlurmdPidFile=$base/pid/slurmd.%n
SlurmctldLogFile=$base/log/slurmctld
SlurmdLogFile=$base/log/slurmd.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=bf_interval=1,bf_resolution=1,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=$net.1
AccountingStoragePass=$base/socket/munge
AccountingStorageEnforce=associations,limits,qos
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
KillWait=5
EnforcePartLimits=ALL
MaxArraySize=8
PropagateResourceLimitsExcept=MEMLOCK
CONF
for i in $(seq "$nodes"); do
  mkdir -p "$base/spool.node$i"
  echo "NodeName=node$i NodeAddr=$net.$((10 + i)) CPUs=$cpus RealMemory=16000 State=UNKNOWN" >>"$base/slurm.conf"
done
echo "PartitionName=normal Nodes=ALL Default=YES MaxTime=24:00:00 DefaultTime=00:10:00" >>"$base/slurm.conf"

cat >"$base/in.sh" <<IN
#!/bin/bash
export SLURM_CONF=$base/slurm.conf
exec nsenter -t $(cat "$base/pid/login") -n -u -m --wd="\$PWD" -- "\$@"
IN
chmod +x "$base/in.sh"

export SLURM_CONF=$base/slurm.conf
inside login slurmdbd
for _ in $(seq 100); do
  "$base/in.sh" sacctmgr -n show cluster >/dev/null 2>&1 && break
  sleep 0.1
done
for entry in "cluster test" "account cerebellum Description=test Organization=test" "user root account=cerebellum"; do
  # shellcheck disable=SC2086  # words of a command
  "$base/in.sh" sacctmgr -i -Q add $entry >"$base/log/accounts" 2>&1 || { cat "$base/log/accounts" >&2; exit 1; }
done
inside login slurmctld
for i in $(seq "$nodes"); do inside "node$i" slurmd; done
for _ in $(seq 150); do
  [ "$("$base/in.sh" sinfo -h -N -o '%T' 2>/dev/null | grep -c '^idle$')" = "$nodes" ] && exit 0
  sleep 0.1
done
echo "the cluster did not come up" >&2
"$base/in.sh" sinfo -N -l >&2 || true
exit 1
