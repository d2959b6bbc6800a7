"""The `unet-tfx` command. A sub-command's module is imported when it is called, and not before."""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from pipeline.usage import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE, UsageError

COMMANDS = {
    "run": (
        "pipeline.run_command",
        "ingest, train by folds, evaluate, gate and push, on this machine",
    ),
    "report": ("pipeline.report_command", "make the page of a finished run again"),
    "compare": ("pipeline.compare_command", "two runs side by side: which is better, and surely?"),
    "train": ("pipeline.train_command", "train one fold, or all data, on the records of a run"),
    "check": ("pipeline.check_command", "tell what is wrong with a cohort, or new in new data"),
    "drift": ("pipeline.drift_command", "tell whether the cohorts of two runs are of one kind"),
    "predict": ("components.predict_command", "segment a case or a photograph with a pushed model"),
    "evaluate": ("pipeline.evaluate_command", "score a model on labelled cases"),
    "synth": ("beam_preprocess.synth.command", "make realistic synthetic cases in a real layout"),
    "benchmark": ("pipeline.benchmark_command", "measure how fast training and inference are here"),
    "compile": ("kubeflow.compile_command", "write the same DAG as a Kubeflow Pipelines spec"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command. Exit status: 0 done, 1 failed, 2 wrong usage, 3 not blessed or drift."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return EXIT_DONE if words else EXIT_USAGE
    if words[0] not in COMMANDS:
        print(f"unet-tfx: no command {words[0]!r}: use {', '.join(COMMANDS)}", file=sys.stderr)
        return EXIT_USAGE
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    importlib.import_module("trainer")  # first: sets how TensorFlow, which others import, computes
    warnings.simplefilter("ignore")  # of imports; a run writes its own to its log file
    try:
        command = importlib.import_module(COMMANDS[words[0]][0])
        return command.main(words[1:])
    except (ValueError, OSError, RuntimeError) as e:
        print(f"unet-tfx {words[0]}: {e}", file=sys.stderr)
        return EXIT_USAGE if isinstance(e, UsageError) else EXIT_ERROR
    except KeyboardInterrupt:
        print(f"unet-tfx {words[0]}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unet-tfx COMMAND [options]",
            "",
            "From brain scans and surface photographs to a segmentation model in service.",
            "",
            "commands:",
            *lines,
            "",
            "`unet-tfx COMMAND --help` lists the options of a command.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
