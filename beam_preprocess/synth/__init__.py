"""Made-up cohorts in the layouts of the real data sets, for demos, tests and benchmarks."""
