#!/usr/bin/env python3
"""Regenerate the golden data of the tests.

    make_golden.py [AREA...]            all areas by default

Each area is a module beside this file with make(out_dir), which fills the area's folder from the
reference implementation and may return a dict (seeds, notes) for its entry in MANIFEST.json; versions and
hashes are added here. The tests read these files only: they need neither Python nor the reference.
"""
import argparse
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
AREAS = ["quants", "readers", "tokenizer", "gemma3n", "submodel", "gemma3", "t5gemma2", "usm", "model", "picture",
         "vision", "siglip"]
PACKAGES = ["torch", "transformers", "timm", "tokenizers", "sentencepiece", "gguf", "numpy"]


def versions():
    """Versions of the reference packages that the area's module has imported."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        if name in sys.modules:
            found[name] = importlib.metadata.version(name)
    return found


def hashes(folder):
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()[:16]
            for f in sorted(folder.rglob("*")) if f.is_file()}


def run_area(area):
    out = HERE / area
    out.mkdir(exist_ok=True)
    notes = importlib.import_module(area).make(out) or {}
    return {**notes, "versions": versions(), "files": hashes(out)}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    areas = ap.parse_args().areas or AREAS
    if set(areas) - set(AREAS):
        ap.error(f"areas are {', '.join(AREAS)}")
    if len(areas) > 1:                      # each in its own process, so that versions() sees only its imports
        return max(abs(os.spawnv(os.P_WAIT, sys.executable, [sys.executable, __file__, a]))
                   for a in areas)
    manifest = HERE / "MANIFEST.json"
    entry = run_area(areas[0])
    known = json.loads(manifest.read_text()) if manifest.exists() else {}
    known[areas[0]] = entry
    manifest.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
