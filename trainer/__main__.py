"""`python -m trainer`: the command line of the reference systems, on their records or ours."""

import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from beam_preprocess.atomic import write_text
from trainer.cluster import is_chief
from trainer.reference.options import ReferenceOptions
from trainer.reference.parser import parse_options

EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a mode. Exit status: 0 done, 1 failed, 2 wrong usage."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = parse_options(sys.argv[1:] if argv is None else argv)
    for note in options.notes:
        logging.info("%s", note)
    run = importlib.import_module("trainer.reference.run")  # TensorFlow: not for --help
    try:
        result = run.run(options)
        if result:
            _show(result, options)
        if options.log_file and is_chief():
            _write_log(options, options.log_file, result)
    except (ValueError, OSError, RuntimeError, FloatingPointError, MemoryError) as e:
        print(f"python -m trainer: {str(e) or type(e).__name__}", file=sys.stderr)
        return EXIT_USAGE if isinstance(e, ValueError) else 1
    return 0


def _write_log(options: ReferenceOptions, path: Path, result: dict[str, Any]) -> None:
    """JSON lines: the reports of the trainings, fold by fold, and the result.

    That of a benchmark has memory, machine, versions and options beside it.
    """
    read_history = importlib.import_module("trainer.progress").read_history
    folders = [options.model_dir, *sorted(options.model_dir.glob("fold-*"))]
    lines = [line for folder in folders for line in read_history(folder / "training" / "logs")]
    if options.benchmark:
        machine = importlib.import_module("trainer.hardware")
        about = {name: getattr(machine, name)() for name in ("hardware", "versions", "peak_memory")}
        result = result | about | {"options": asdict(options)}
    written = [*lines, result] if result else lines
    write_text(path, "".join(json.dumps(line, default=str) + "\n" for line in written))


def _show(result: dict[str, Any], options: ReferenceOptions) -> None:
    """Prints the scores, or the keys of a benchmark."""
    if "folds" not in result:
        digits = ".6g" if options.benchmark else ".4f"
        print("\n".join(f"{name} {value:{digits}}" for name, value in result.items()))
        return
    write_text(options.model_dir / "folds.json", json.dumps(result, indent=1))
    columns = [f"fold {number}" for number in range(len(result["folds"]))]
    print(" ".join(f"{text:>10}" for text in [f"{'':18}", *columns, "mean", "std"]))
    for name, mean in result["mean"].items():
        values = [fold[name] for fold in result["folds"]] + [mean, result["std"][name]]
        print(f"{name:18} " + " ".join(f"{value:10.4f}" for value in values))


if __name__ == "__main__":
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of a graph per fold
    sys.exit(main())
