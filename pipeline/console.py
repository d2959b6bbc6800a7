"""What a run prints: one line per node and our own messages on the terminal, everything in a log
file.
"""

import logging
import re
import warnings
from pathlib import Path

_OURS = ("pipeline", "components", "trainer", "beam_preprocess")
_NODE = re.compile(r"^Component (\S+) is (running|finished)\.$")


class _Terminal(logging.Filter):
    """Lets our own messages through, errors of anybody, and the starts of nodes."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in _OURS:
            return True
        match = _NODE.match(record.getMessage())
        if match and match[2] == "running":
            record.msg, record.args = match[1], ()
            return True
        return False


def set_up_logging(log_file: Path) -> None:
    """Sends everything to `log_file` and the essential lines to the terminal."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(log_file, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    terminal.addFilter(_Terminal())
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.INFO)
    root.addHandler(terminal)
    root.addHandler(file)
    logging.captureWarnings(True)
    warnings.simplefilter("default")


def adopt_frameworks() -> None:
    """Makes TFX and TensorFlow log like everybody else. Call after they are imported."""
    from absl import logging as absl_logging

    absl_logging.use_python_logging()
    absl_logging.set_verbosity(absl_logging.INFO)
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if h is not absl_logging.get_absl_handler()]
    tensorflow = logging.getLogger("tensorflow")
    tensorflow.handlers, tensorflow.propagate = [], True
