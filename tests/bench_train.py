"""`make bench-train`: training steps and forward passes of ours and of plain PyTorch, as JSON.

The same network (31.2 M parameters, counted on both sides), crop, batch and precision, in processes
that take turns on one machine: ours by `unet-tfx benchmark`, which makes its crops meanwhile, the
peer by tests/peer_unet.py on a batch that is in memory. Both take all cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".venv-peer" / "bin" / "python"


def ours(what: str, options: argparse.Namespace, precision: str) -> list[str]:
    """The command that measures ours."""
    size = [str(options.crop)] * 3
    command = [str(Path(sys.executable).with_name("unet-tfx")), "benchmark", what]
    command += ["--recipe", "brats", "--trainer.batch_size", str(options.batch_size)]
    command += ["--trainer.precision", precision, "--trainer.strategy", "one-device"]
    command += ["--trainer.crop", f"[{', '.join(size)}]", "--json", "-"]
    command += ["--steps", str(options.steps), "--warmup", str(options.warmup)]
    return command + (["--whole-cases", "0"] if what == "infer" else [])


def peer(what: str, options: argparse.Namespace, precision: str) -> list[str]:
    """The command that measures PyTorch."""
    values = {**vars(options), "precision": precision}
    names = ("crop", "batch_size", "precision", "steps", "warmup")
    words = [word for name in names for word in (f"--{name}", str(values[name]))]
    return [str(PEER_PYTHON), "-W", "ignore", str(ROOT / "tests" / "peer_unet.py"), what, *words]


def run(command: list[str], limit_s: float) -> dict[str, Any] | None:
    """The JSON that a command prints; None where it takes longer than the limit."""
    try:
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)


def take_turns(
    commands: Mapping[str, list[str]], *, rounds: int, limit_s: float
) -> dict[str, list[dict[str, Any]]]:
    """What each command prints, round by round; one that takes longer than the limit is left out of
    the rounds after it.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    left = dict(commands)
    for _ in range(rounds):
        for name, command in list(left.items()):
            done = run(command, limit_s)
            runs[name] += [done] if done else []
            if not done:  # nor would it be in the next round
                del left[name]
    parameters = {done["parameters"] for found in runs.values() for done in found}
    assert len(parameters) == 1, f"networks of {parameters} parameters are not comparable"
    return runs


def compare(what: str, options: argparse.Namespace, precision: str) -> dict[str, Any]:
    """Seconds of the steps of both, the ratio of their medians, and what both report of a run."""
    commands = {f.__name__: f(what, options, precision) for f in (ours, peer)}
    runs = take_turns(commands, rounds=options.rounds, limit_s=options.limit)
    kind = "train" if what == "train" else "forward"
    seconds = {
        "ours": [s for done in runs["ours"] for s in done["measured"][kind]["step_seconds"]],
        "peer": [s for done in runs["peer"] for s in done["seconds"]],
    }
    medians = {name: statistics.median(found) for name, found in seconds.items() if found}
    return {
        "what": what,
        "precision": precision,
        "parameters": runs["ours"][0]["parameters"],
        "step_seconds": seconds,
        "median_s": medians,
        "peer_over_ours": medians["peer"] / medians["ours"] if len(medians) == 2 else None,
        "not_done_within_s": {name: options.limit for name, found in seconds.items() if not found},
        "last_runs": {name: without_steps(found[-1]) for name, found in runs.items() if found},
    }


def without_steps(done: dict[str, Any]) -> dict[str, Any]:
    """What a run reports besides the seconds of its steps: memory, machine, versions."""
    names = ("memory", "hardware", "versions", "peak_memory_bytes", "threads", "torch", "monai")
    return {name: done[name] for name in names if name in done}


def main() -> None:
    """Prints one JSON object per comparison as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", nargs="+", default=["train", "infer"], choices=["train", "infer"])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=240, help="seconds for one process")
    options = parser.parse_args()
    for precision in options.precision:
        for what in options.what:
            result = {"at": time.strftime("%F %T"), **compare(what, options, precision)}
            print(json.dumps(result, indent=1), flush=True)


if __name__ == "__main__":
    main()
