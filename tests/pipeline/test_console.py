"""What of the log is shown on the terminal, and what is kept in the file."""

import logging
import sys
import warnings
from functools import partial

import pytest

from pipeline.console import adopt_frameworks, set_up_logging


@pytest.fixture(autouse=True)
def restore_logging():
    """pytest and other tests have handlers of their own."""
    root, absl = logging.getLogger(), logging.getLogger("absl")
    loggers = (root, absl, logging.getLogger("tensorflow"))
    kept = {r: (list(r.handlers), r.level, r.propagate) for r in loggers}
    root.handlers = []  # set_up_logging closes the handlers that it finds
    absl.setLevel(logging.INFO)  # as adopt_frameworks does
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    for handler in root.handlers:
        handler.close()
    for logger, (handlers, level, propagate) in kept.items():
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


@pytest.fixture
def log_file(tmp_path):
    """Tests set it up themselves: what the terminal is, pytest changes between fixture and test."""
    return tmp_path / "new" / "run.log"


def shown(capsys) -> list[str]:
    """Messages on the terminal, less the time before them."""
    return [line.split("  ", 1)[1] for line in capsys.readouterr().err.splitlines()]


def logged(path) -> list[str]:
    """Level, logger and message in the file."""
    return [line.split(" ", 2)[2] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "name", ["pipeline.local_runner", "components", "trainer.progress", "beam_preprocess.convert"]
)
def test_our_own_messages_are_shown_and_kept(log_file, capsys, name):
    set_up_logging(log_file)
    logging.getLogger(name).info("step %d of %d", 1, 2)
    assert shown(capsys) == ["step 1 of 2"]
    assert logged(log_file) == [f"INFO {name}: step 1 of 2"]


@pytest.mark.parametrize("name", ["absl", "tfx", "tensorflow", "pipelines", "trainer2.x", "root"])
@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_messages_of_others_are_kept_only(log_file, capsys, name, level):
    set_up_logging(log_file)
    logging.getLogger(name).log(level, "MetadataStore with DB connection initialized")
    assert shown(capsys) == []
    kept = f"{logging.getLevelName(level)} {name}: MetadataStore with DB connection initialized"
    assert logged(log_file) == [kept]


def test_start_of_a_node_is_shown_as_its_id_and_kept_as_it_is(log_file, capsys):
    set_up_logging(log_file)
    logging.getLogger("absl").info("Component %s is running.", "Trainer-fold-0")
    logging.getLogger("absl").info("Component %s is finished.", "Trainer-fold-0")
    assert shown(capsys) == ["Trainer-fold-0"]
    assert logged(log_file) == [
        "INFO absl: Component Trainer-fold-0 is running.",
        "INFO absl: Component Trainer-fold-0 is finished.",
    ]


def test_our_details_are_neither_shown_nor_kept(log_file, capsys):
    set_up_logging(log_file)
    logging.getLogger("trainer").debug("a detail")
    assert shown(capsys) == []
    assert logged(log_file) == []


def test_trace_of_an_error_is_kept_only(log_file, capsys):
    set_up_logging(log_file)
    try:
        raise ValueError("17 cases are torn")
    except ValueError:
        logging.getLogger("tfx").exception("the run failed")
    assert shown(capsys) == []
    text = log_file.read_text(encoding="utf-8")
    assert "ERROR tfx: the run failed\nTraceback" in text
    assert "ValueError: 17 cases are torn" in text


def test_warnings_are_kept_only(log_file, capsys):
    set_up_logging(log_file)
    warnings.warn("an old function", DeprecationWarning, stacklevel=1)
    assert shown(capsys) == []
    assert "WARNING py.warnings: " in log_file.read_text(encoding="utf-8")
    assert "an old function" in log_file.read_text(encoding="utf-8")


def test_second_run_in_a_process_has_a_file_of_its_own(log_file, tmp_path, capsys):
    set_up_logging(log_file)
    logging.getLogger("trainer").info("first")
    set_up_logging(tmp_path / "second.log")
    logging.getLogger("trainer").info("second")
    assert shown(capsys) == ["first", "second"]
    assert logged(log_file) == ["INFO trainer: first"]
    assert logged(tmp_path / "second.log") == ["INFO trainer: second"]


def test_second_run_on_the_same_file_adds_to_it(log_file):
    set_up_logging(log_file)
    logging.getLogger("trainer").info("first")
    set_up_logging(log_file)
    logging.getLogger("trainer").info("second")
    assert logged(log_file) == ["INFO trainer: first", "INFO trainer: second"]


def test_frameworks_log_like_everybody_else(log_file, capsys, request):
    """absl's own handler would print everything; TensorFlow's would, and would tell nobody else."""
    from absl import logging as absl_logging

    request.addfinalizer(partial(absl_logging.set_verbosity, absl_logging.get_verbosity()))
    set_up_logging(log_file)
    own = logging.StreamHandler(sys.stderr)
    tensorflow = logging.getLogger("tensorflow")
    tensorflow.addHandler(own)
    tensorflow.propagate = False
    logging.getLogger().addHandler(absl_logging.get_absl_handler())

    adopt_frameworks()
    capsys.readouterr()  # absl's farewell to its own handler
    tensorflow.warning("a retracing")
    absl_logging.info("Component %s is running.", "CaseGen")

    assert shown(capsys) == ["CaseGen"]
    assert logged(log_file)[-2:] == [
        "WARNING tensorflow: a retracing",
        "INFO absl: Component CaseGen is running.",
    ]
