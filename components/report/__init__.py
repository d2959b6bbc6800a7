"""The report of a run: one self-contained HTML page, and the component that writes it.

Folders of artifacts -> `read` -> `content.ReportData` -> `page` -> HTML. `volumes` and `sprites`
make what the slice viewer (`viewer.js`) shows, `model_card` what the model card says.
"""
