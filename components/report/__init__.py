"""The report of a run: one self-contained HTML page, and the component that writes it."""
