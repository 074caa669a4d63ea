"""Classifiers for use: distilled, saved, pruned, exported, in a page, behind HTTP"""

from .classifier import CARD, Classifier, fact_table, FILES, STUDENTS
from .vocabulary import kept_tokens, prune_tokenizer, prune_vocabulary
from .onnx_export import ExplainedGraph, export, Int8Embedding, labels_by_name, load, OnnxClassifier, OUTPUTS, quantize_int8, write_onnx
from .page import export_web, WEB_RUNTIME, web_runtime
from .distillation import distill, known_facts, teacher_answers

__all__ = ["CARD", "Classifier", "fact_table", "FILES", "STUDENTS", "kept_tokens", "prune_tokenizer", "prune_vocabulary", "ExplainedGraph", "export",
           "Int8Embedding", "labels_by_name", "load", "OnnxClassifier", "OUTPUTS", "quantize_int8", "write_onnx", "export_web", "WEB_RUNTIME",
           "web_runtime", "distill", "known_facts", "teacher_answers"]
