#!/bin/sh
# oclgrind.sh OCLGRIND CHECKKERNELS: one case of each portable kernel in the simulator, which
# reports data races and accesses outside of buffers. Fails where it reports anything.
set -eu
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$1" --data-races --check-api --max-errors 5 --log "$log" "$2" --variant portable --case 3
if [ -s "$log" ]; then
  cat "$log"
  exit 1
fi
