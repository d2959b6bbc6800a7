"""Runs the executor of a node that writes a page, in a pod: `python -m kubeflow.page_entrypoint`.

Kubeflow's page shows an artifact inline where its type is `system.HTML`. TFX's entry point finds
the class of an artifact by the title of its type: its own by a table, others by importing the
title, which fails for this one. So it is put into the table, and TFX's entry point takes over.
"""

import argparse

from absl import app
from tfx.orchestration.kubeflow.v2 import compiler_utils
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from kubeflow.config import HTML

PAGE_CLASS = "components.artifacts.ReportPage"


def main(arguments: tuple[argparse.Namespace, list[str]]) -> None:
    """Runs the executor. Arguments as of TFX's entry point."""
    compiler_utils.TITLE_TO_CLASS_PATH[HTML] = PAGE_CLASS
    kubeflow_v2_run_executor.main(arguments)


if __name__ == "__main__":
    app.run(main, flags_parser=kubeflow_v2_run_executor._parse_flags)
