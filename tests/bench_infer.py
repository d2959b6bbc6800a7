"""`make bench-infer`: a whole case, ours against MONAI's sliding window on PyTorch, as JSON.

The same network (31.2 M parameters, counted on both sides), case and precision, in processes that
take turns on one machine. Ours is a SavedModel: raw intensities of the whole grid in, label map of
the whole grid out (tests/infer_ours.py). The peer has less to do: it is given the standardised box
of the brain, and its label map is that of the box (tests/peer_monai.py). Both take all cores.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_train import PEER_PYTHON, ROOT, run, take_turns, without_steps

MODES = ("whole", "window")


def ours(options: argparse.Namespace, *words: str) -> list[str]:
    """A command of tests/infer_ours.py."""
    return [
        *(sys.executable, "-W", "ignore", str(ROOT / "tests" / "infer_ours.py"), *words),
        *("--window", str(options.window), "--overlap", str(options.overlap)),
        *("--grid", *map(str, options.grid), "--box", *map(str, options.box)),
    ]


def peer(options: argparse.Namespace, precision: str) -> list[str]:
    """The command that measures MONAI."""
    return [
        *(str(PEER_PYTHON), "-W", "ignore", str(ROOT / "tests" / "peer_monai.py")),
        *("--precision", precision, "--box", *map(str, options.box)),
        *("--window", str(options.window), "--overlap", str(options.overlap)),
    ]


def compare(options: argparse.Namespace, precision: str, folder: Path) -> dict[str, Any]:
    """Seconds of both modes and of the peer, their medians, ratios and most memory."""
    models = {mode: str(folder / f"{precision}-{mode}") for mode in MODES}
    for mode, path in models.items():
        run(ours(options, "export", path, "--mode", mode, "--precision", precision), options.limit)
    commands = {mode: ours(options, "run", path) for mode, path in models.items()}
    runs = take_turns(
        {**commands, "peer": peer(options, precision)}, rounds=options.rounds, limit_s=options.limit
    )
    seconds = {name: [done["seconds"] for done in found] for name, found in runs.items()}
    medians = {name: statistics.median(found) for name, found in seconds.items() if found}
    limits = {name: options.limit for name, found in seconds.items() if not found}
    words = "peer_over_ours_at_least" if "peer" in limits else "peer_over_ours"
    peer_s = medians.get("peer", options.limit)
    return {
        "precision": precision,
        "parameters": next(done["parameters"] for found in runs.values() for done in found),
        "seconds": seconds,
        "median_s": medians,
        words: {mode: peer_s / medians[mode] for mode in MODES if mode in medians},
        "not_done_within_s": limits,
        "peak_memory_bytes": {
            name: max(done["peak_memory_bytes"] for done in found)
            for name, found in runs.items()
            if found
        },
        "last_runs": {name: without_steps(found[-1]) for name, found in runs.items() if found},
    }


def main() -> None:
    """Prints one JSON object per precision as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--grid", type=int, nargs=3, default=[240, 240, 155])
    parser.add_argument("--box", type=int, nargs=3, default=[134, 177, 136])
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=900, help="seconds for one process")
    options = parser.parse_args()
    case = {name: getattr(options, name) for name in ("grid", "box", "window", "overlap")}
    for precision in options.precision:
        with tempfile.TemporaryDirectory(prefix="unet-tfx-bench-") as folder:
            found = compare(options, precision, Path(folder))
        result = {"at": time.strftime("%F %T"), "case": case, **found}
        print(json.dumps(result, indent=1), flush=True)


if __name__ == "__main__":
    main()
