"""Decisions, explanations and costs, measured and drawn"""

from .metrics import (accuracy, agreement, AGREEMENTS, auc, completeness_error, cosine, erase_tokens, faithfulness, feature_agreement,
                      kl_to_teacher, macro_f1, matthews, occlusion, prediction_agreement, rank_correlation, SHARES, sign_agreement, xai_floor)
from .efficiency import costs, forward_batch, latency, n_bytes, n_parameters, peak_memory, peak_resident_memory, savings
from .plots import apart, coloured_text, ColouredText, mean_std, plot_alpha

__all__ = ["accuracy", "agreement", "AGREEMENTS", "auc", "completeness_error", "cosine", "erase_tokens", "faithfulness", "feature_agreement",
           "kl_to_teacher", "macro_f1", "matthews", "occlusion", "prediction_agreement", "rank_correlation", "SHARES", "sign_agreement", "xai_floor",
           "costs", "forward_batch", "latency", "n_bytes", "n_parameters", "peak_memory", "peak_resident_memory", "savings", "apart", "coloured_text",
           "ColouredText", "mean_std", "plot_alpha"]
