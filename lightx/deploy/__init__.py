"""Classifiers for use: distilled, saved, pruned, exported, in a page, behind HTTP

Each name is imported with its module when it is first asked for (PEP 562): a server that answers needs no torch.
"""
from importlib import import_module

from . import audit_report, edit, record # noqa: F401 they give every classifier `audit`, and every answer `to_record`

_NAMES = {"classifier": "build_student CARD check_weights Classifier fact_table in_numpy RENAMED",
          "vocabulary": "kept_tokens prune_tokenizer prune_vocabulary",
          "word_counts": "add_runs decision_shares EXAMPLES Forms LEAST MAX_WORDS numbered source_starts Tally tally target_of",
          "audit": "Audit Disagreements judge_words wilson_low word_kind",
          "audit_report": "escaped examples_as_html report_page rows_as_html STYLE",
          "versions": "Change diff Difference explain_change explained_by margins",
          "edit": "copy_edited edit_card MARK",
          "record": "check_record explained_move is_number model_hash read_record text_hash",
          "onnx_export": "ExplainedGraph export Int8Embedding labels_by_name OnnxClassifier OUTPUTS quantize_int8 read_exported write_onnx",
          "page": "export_web MODELS NORMALIZERS page_frame PATTERNS PRE_TOKENIZERS unreadable",
          "distillation": "check_recipe distill measured_facts UNEXPLAINED warn_beaten warn_unmet",
          "estimator": "checked_labels LightXClassifier",
          "abstention": "calibrate calibration_of fit_temperature labelled_texts LEVELS upper_bound wanted_classes",
          "guards": "BodyLimit Connection host_names is_token Limits LIMITS open_files",
          "fallback": "checked_answers Fallback hand_over",
          "server": "Batcher make_app Metrics replies serve"}
_MODULE = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = [*_MODULE]


def __getattr__(name):
    if name not in _MODULE: raise AttributeError(f"module 'lightx.deploy' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    return value
