"""What a run prints: a line per node and our own messages; its log file holds everything."""

import copy
import logging
import re
import warnings
from pathlib import Path

_OURS = ("pipeline", "components", "trainer", "beam_preprocess")
_NODE = re.compile(r"^Component (\S+) is running\.$")


class _Essential(logging.Filter):
    """Lets our own messages and the starts of nodes through."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name.partition(".")[0] in _OURS or _node_of(record) is not None


class _Short(logging.Formatter):
    """Shows the start of a node as its id. The record is shared with the log file: it stays."""

    def format(self, record: logging.LogRecord) -> str:
        if node := _node_of(record):
            record = copy.copy(record)
            record.msg, record.args = node, ()
        return super().format(record)


def _node_of(record: logging.LogRecord) -> str | None:
    """The node whose start a message tells, or None."""
    match = _NODE.match(record.getMessage())
    return match[1] if match else None


def set_up_logging(log_file: Path) -> None:
    """Sends everything to `log_file` and the essential lines to the terminal."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    file = logging.FileHandler(log_file, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler()
    terminal.setFormatter(_Short("%(asctime)s  %(message)s", "%H:%M:%S"))
    terminal.addFilter(_Essential())
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
