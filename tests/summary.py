#!/usr/bin/env python3
"""Adds up what meson's tests report, so that one line tells the state of the suite: summary.py testlog.json

A libcheck program counts each of its checks; any other program counts as one.
"""
import json
import re
import sys

passed = failed = skipped = 0
for line in open(sys.argv[1], encoding="utf-8"):
    test = json.loads(line)
    counts = re.findall(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", test.get("stdout") or "")
    if counts:
        bad = sum(int(f) + int(e) for _, f, e in counts)
        passed += sum(int(n) for n, _, _ in counts) - bad
        # a program that fails beyond its checks (a crash at exit, a leak) counts too
        failed += bad or (test["result"] not in ("OK", "EXPECTEDFAIL"))
    elif test["result"] in ("OK", "EXPECTEDFAIL"):
        passed += 1
    elif test["result"] == "SKIP":
        skipped += 1
    else:
        failed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(failed > 0 or passed == 0)
