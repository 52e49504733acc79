#!/bin/bash
# A SLURM controller without nodes that run, to judge scripts by `sbatch --test-only`: its partitions carry the limits
# of a site. Any user; Debian: slurm-wlm munge. Loopback only.
#
#   judge.sh start BASE PORT <NODES-AND-PARTITIONS     then: SLURM_CONF=BASE/slurm.conf sbatch --test-only SCRIPT
#   judge.sh stop BASE
set -euo pipefail
verb=$1 base=$2 port=${3:-}

if [ "$verb" = stop ]; then
  for name in slurmctld munged; do
    pid=$(cat "$base/pid/$name" 2>/dev/null) || continue
    # Whoever has the number now, it is ours only if it still is what we started.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$name" ] || continue
    kill -KILL "$pid" 2>/dev/null || true # asked politely, it takes seconds to write down what nobody wants
    for _ in $(seq 50); do
      grep -qs '^State:[[:space:]]*[A-Y]' "/proc/$pid/status" || break # gone, or waiting for its parent to notice
      sleep 0.1
    done
  done
  exit 0
fi

mkdir -p "$base"/{munge,socket,state,log,pid}
chmod 755 "$base" "$base/socket"
chmod 700 "$base/munge"
(umask 077; head -c 128 /dev/urandom >"$base/munge/key")
munged --key-file="$base/munge/key" --socket="$base/socket/munge" --pid-file="$base/socket/pid" \
  --log-file="$base/munge/log" --seed-file="$base/munge/seed" --num-threads=2
cp "$base/socket/pid" "$base/pid/munged"

{
  cat <<CONF
ClusterName=judge
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthInfo=socket=$base/socket/munge
StateSaveLocation=$base/state
SlurmctldPidFile=$base/pid/slurmctld
SlurmctldLogFile=$base/log/slurmctld
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
EnforcePartLimits=ALL
JobCompType=jobcomp/none
GresTypes=gpu
SuspendProgram=/bin/true
ResumeProgram=/bin/true
SuspendTime=3600
MaxNodeCount=100000
TreeWidth=65000
CONF
  cat # from standard input
} >"$base/slurm.conf"

export SLURM_CONF=$base/slurm.conf
slurmctld
for _ in $(seq 200); do # its clients wait for seconds before they ask again
  if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    sleep 0.1
    continue
  fi
  sinfo -h >/dev/null 2>&1 && exit 0
done
tail "$base/log/slurmctld" >&2
echo "the controller did not come up" >&2
exit 1
