#!/bin/bash
# Ends what start.sh has started in BASE: all that lives in its network namespaces. stop.sh BASE
set -uo pipefail
base=$1
declare -A ours
mapfile -t holders < <(cat "$base/pids" 2>/dev/null)
host=$(readlink /proc/self/ns/net)
for holder in "${holders[@]}"; do
  space=$(readlink "/proc/$holder/ns/net") && [ "$space" != "$host" ] && ours[$space]=1
done
inside() {
  local path space
  for path in /proc/[0-9]*; do
    space=$(readlink "$path/ns/net" 2>/dev/null) && [ -n "${ours[$space]:-}" ] && echo "${path#/proc/}"
  done
}
for name in TERM KILL KILL; do
  for pid in $(inside); do kill "-$name" "$pid" 2>/dev/null; done
  for _ in $(seq 20); do
    [ -z "$(inside)" ] && break 2
    sleep 0.1
  done
done
exit 0
