"""The cluster's side: the same DAG as a Kubeflow Pipelines spec."""
