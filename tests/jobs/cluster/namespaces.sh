# Sourced by what starts a cluster on this machine: its hosts are network, UTS and mount namespaces with their own /tmp,
# /var/tmp and /dev/shm, so that MPI between them goes over a network as it does elsewhere. Root; Debian: iproute2.
# shellcheck shell=bash
#
# Wants base, a folder that holds everything, and shared, an array of what else below /tmp all hosts see.
# base/pid/NAME and base/pids have the process that holds each namespace, for stop.sh.
# shellcheck disable=SC2154  # base and shared: of the script that reads this

inside() { # NAME COMMAND...
  local pid
  pid=$(cat "$base/pid/$1")
  shift
  nsenter -t "$pid" -n -u -m -- "$@"
}

namespace() { # NAME
  local own=$base/tmp.$1 pid path
  mkdir -p "$own" "$own.var"
  chmod 1777 "$own" "$own.var"
  setsid unshare -n -u -m --propagation private sleep infinity </dev/null >/dev/null 2>&1 &
  pid=$!
  echo "$pid" | tee "$base/pid/$1" >>"$base/pids"
  for _ in $(seq 100); do # until unshare has become sleep
    [ "$(cat "/proc/$pid/comm")" = sleep ] && break
    sleep 0.02
  done
  inside "$1" hostname "$1"
  inside "$1" ip link set lo up
  for path in "${shared[@]}"; do
    case $path in /tmp/*)
      mkdir -p "$own/${path#/tmp/}"
      inside "$1" mount --bind "$path" "$own/${path#/tmp/}" ;;
    esac
  done
  inside "$1" mount --bind "$own.var" /var/tmp
  inside "$1" mount --rbind "$own" /tmp
  inside "$1" mount -t tmpfs -o mode=1777,size=1g tmpfs /dev/shm
  inside "$1" mount --bind "$base/hosts" /etc/hosts
}

network() { # LOGIN-NODE NET NODES: the login node is NET.1, node1 is NET.11
  local i
  {
    echo "127.0.0.1 localhost"
    echo "$2.1 $1"
    for i in $(seq "$3"); do echo "$2.$((10 + i)) node$i"; done
  } >"$base/hosts"
  namespace "$1"
  inside "$1" ip link add br0 type bridge
  inside "$1" ip addr add "$2.1/24" dev br0
  inside "$1" ip link set br0 up
  for i in $(seq "$3"); do
    namespace "node$i"
    inside "$1" ip link add "port$i" type veth peer name eth0 netns "$(cat "$base/pid/node$i")"
    inside "$1" ip link set "port$i" master br0 up
    inside "node$i" ip addr add "$2.$((10 + i))/24" dev eth0
    inside "node$i" ip link set eth0 up
  done
}
