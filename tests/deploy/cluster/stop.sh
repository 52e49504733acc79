#!/bin/bash
# Ends what start.sh has started in BASE, by process id: stop.sh BASE
set -uo pipefail
base=$1
[ -x "$base/in.sh" ] && "$base/in.sh" scancel --user=root --signal=KILL --full 2>/dev/null
# The daemons were written last and go first; the namespaces go with the sleeps that hold them.
mapfile -t pids < <(tac "$base/pids" 2>/dev/null)
alive() { [ -e "/proc/$1" ] && [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" != Z ]; }
for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
for pid in "${pids[@]}"; do
  for _ in $(seq 50); do alive "$pid" || break; sleep 0.1; done
  alive "$pid" && kill -KILL "$pid" 2>/dev/null
done
exit 0
