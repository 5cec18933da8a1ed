#!/bin/bash
# Runs every line of the README's sh blocks as a reader would paste it. There is neither display nor microphone here:
# their elements are replaced by ones that need none. Lines without an end (a live source) are interrupted after some
# seconds and must end cleanly.
set -eu
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
lines=$(awk '/^```sh$/ {on = 1; next} /^```$/ {on = 0} on && /^gst-launch-1.0/' README.md)
count=0
export GST_PLUGIN_PATH=$PWD/build/plugin
while IFS= read -r line; do
  line=${line//autovideosink/fakevideosink}
  line=${line//autoaudiosrc/audiotestsrc is-live=true wave=pink-noise}
  status=0
  case $line in
    *is-live=true*) timeout -k 20 -s INT 12 bash -c "exec $line" >"$log" 2>&1 || status=$?
      [ $status != 124 ] || status=0 ;;                       # interrupted as planned
    *) timeout -k 5 120 bash -c "$line" >"$log" 2>&1 || status=$? ;;
  esac
  if [ $status != 0 ] || grep -q '^ERROR' "$log"; then
    printf 'failed (%s): %s\n' "$status" "$line"
    cat "$log"
    exit 1
  fi
  count=$((count + 1))
done <<<"$lines"
[ "$count" -ge 3 ]
for file in recording fr it; do
  [ -s build/$file.srt ] && grep -q -- '-->' build/$file.srt
done
# a translation has the times of what it is of
diff <(grep -- '-->' build/recording.srt) <(grep -- '-->' build/fr.srt)
echo "$count lines of the README ran"
