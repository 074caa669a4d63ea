"""Classifiers for use: distilled, saved, pruned, exported, in a page, behind HTTP"""

from .classifier import CARD, Classifier, fact_table, FILES, RENAMED
from .vocabulary import kept_tokens, prune_tokenizer, prune_vocabulary
from .onnx_export import ExplainedGraph, export, Int8Embedding, labels_by_name, load, OnnxClassifier, OUTPUTS, quantize_int8, write_onnx
from .page import export_web, WEB_RUNTIME, web_runtime
from .distillation import check_recipe, distill, measured_facts
from .estimator import checked_labels, LightXClassifier

__all__ = ["CARD", "Classifier", "fact_table", "FILES", "RENAMED", "kept_tokens", "prune_tokenizer", "prune_vocabulary", "ExplainedGraph", "export",
           "Int8Embedding", "labels_by_name", "load", "OnnxClassifier", "OUTPUTS", "quantize_int8", "write_onnx", "export_web", "WEB_RUNTIME",
           "web_runtime", "check_recipe", "distill", "measured_facts", "checked_labels", "LightXClassifier"]


def __getattr__(name): # what needs the extra [serve] is imported when it is asked for
    if name not in ("Limits", "make_app"): raise AttributeError(f"module 'lightx.deploy' has no attribute {name!r}")
    from . import server
    return getattr(server, name)
