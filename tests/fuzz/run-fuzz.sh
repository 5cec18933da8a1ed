#!/bin/bash
# run-fuzz.sh TARGET MAKE-SEEDS WORK-DIR [SECONDS]
# Builds a libFuzzer target with clang, AddressSanitizer and UndefinedBehaviorSanitizer, and runs it from the seeds
# that MAKE-SEEDS writes. WORK-DIR/TARGET keeps the binary, the corpus and the log from one run to the next; an input
# that fails is left there as crash-*, timeout-* or leak-*. Without clang: exit status 77, "skipped".
set -eu
target=$1 make_seeds=$2 work=$3/$1 seconds=${FUZZ_SECONDS:-${4:-60}}
root=$(cd "$(dirname "$0")/../.." && pwd)
clang=$(command -v clang || command -v clang-14 || true)
if [ -z "$clang" ]; then
  echo "clang is not installed"
  exit 77
fi

sources=(models/{error,file,json-scan,json-util,names,weights,gguf,safetensors}.c opencl/type.c
  tests/readers/{image,fixture}.c)
for config in "$root"/models/config*.c; do sources+=("models/${config##*/}"); done
[ "$target" != tokenizer ] || sources+=(models/{tokenizer,tokenizer-json,tokenizer-gguf,tokenizer-bpe,decoder}.c)

mkdir -p "$work/corpus"
read -ra flags <<< "$(pkg-config --cflags --libs glib-2.0 gio-2.0 json-glib-1.0)"
"$clang" -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  -I"$root" "$root/tests/fuzz/fuzz-$target.c" "${sources[@]/#/$root/}" "${flags[@]}" -lm -o "$work/fuzz-$target"
"$make_seeds" "$work/seeds"

# GLib's own caches are alive at exit: leaks are looked for after each input instead, by libFuzzer.
cd "$work"
status=0
ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 G_SLICE=always-malloc nice "./fuzz-$target" \
  -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 \
  -print_final_stats=1 -artifact_prefix="$work/" corpus "seeds/$target" > log 2>&1 || status=$?
grep -E '^(==|SUMMARY|stat::|Done)|ERROR|runtime error' log | tail -20
exit $status
