"""Inference on a whole case, as a TensorFlow graph: the same code scores, predicts and is served.

Standardised image -> `predict.predict_probabilities` (windows, flips, several networks) ->
`classes.to_classes` -> label values -> `components.postprocess`.
"""
