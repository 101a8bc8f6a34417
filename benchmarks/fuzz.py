"""Feeds every reader of foreign text with hostile input: what a model may write, and files that are damaged.

    python benchmarks/fuzz.py --json fuzz.json

Model outputs go to every parser of a model's text: at least ``--outputs`` (20,000) each. Files (traces, checkpoints,
settings, agent files, rules, suites, journals, results, calibrations, head profiles, prompt styles, preference pairs,
adapters, dumps of an Android screen) are valid ones that were damaged: at least ``--files`` (2,000) in all. Hypothesis
draws the inputs with a fixed seed (``derandomize``); to them come hand-written hostile ones, such as 10,000 levels of
nesting, megabytes of braces, numbers of 5,000 digits and YAML that expands to gigabytes.

An input counts as *untyped* where the reader raises anything but its documented error, or an error message that is
longer than its limit (300 characters for model outputs, 2,000 for files) or has more than one line. It counts as *slow*
where the reader takes more than a second of processor time, which does not depend on what else the machine does.

JSON: ``tries``, ``untyped``, ``slow`` (sums), ``longest`` (seconds), ``readers`` (the same for each reader, with the
first faults), ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from fuzzed_files import fuzz_files
from fuzzed_outputs import fuzz_outputs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=int, default=20_000, help="Model outputs for each parser.")
    parser.add_argument("--files", type=int, default=2_000, help="Damaged files in all.")
    parser.add_argument("--json", type=Path, help="The file for the figures.")
    asked = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    begun = time.perf_counter()
    readers = fuzz_files(asked.files) + fuzz_outputs(asked.outputs)
    figures = {
        "tries": sum(r.tries for r in readers),
        "untyped": sum(r.untyped for r in readers),
        "slow": sum(r.slow for r in readers),
        "longest": round(max(r.longest for r in readers), 3),
        "readers": {r.name: r.as_dict() for r in readers},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(figures, indent=1))
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
