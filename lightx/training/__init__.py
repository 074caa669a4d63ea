"""Losses, one training loop, and every method by its name"""

from .losses import baseline_loss, Batch, CrossEntropy, LightX, xai_loss
from .sparse_optimizers import decayed_sums, LazyRows, RowAdam, RowMomentum
from .best_epoch import BestEpoch
from .loop import (Examples, explain_student, learning_rates, only_used_rows, OPTIMIZERS, predict_student, SCHEDULES, toy_corpus, train_student,
                   TrainerState)
from .related_losses import (ADKD, attribution_map, Combined, DiXtill, E2KD, IGAugment, kl_losses, LogitMatch, map_cosine, map_distance,
                             of_decided_class, rationale, rationale_loss, REKD, SoftLabels, token_dropout)
from .ignored_words import checked_words, find_words, Ignoring, word_ids
from .adaptive_alpha import AutoLightX, DWA, EqualGradientNorms, gradient_stats, GradientStats, GradNorm, PCGrad, RULES, Uncertainty
from .stacked_students import StackedLightX, StudentStack
from .registry import check_unlabelled, find_method, method, METHODS, mlp, NEED_UNLABELLED, run_plan, Task, train, TrainingPlan, UNTRAINED
from .methods import (adkd, BEST, best, best_10, best_adkd, best_dropout, best_kd, best_unlabelled, bigram_student, ce,
                      control, dixtill, dixtill_printed, e2kd, head_pruning, ig_augment, int8, kl, lightx, lightx_auto,
                      lightx_matched, lightx_random, lightx_shuffled, lightx_wrong_class, logit_mse, lstm, lstm_ce,
                      lstm_kl, lstm_mse, MATCHED, recipe, rekd)
from .controls import (best_even_spread, best_within_text, best_zero, even_spread, noise, noise_like, of_same_class, permuted_within,
                       spread_evenly, whole_text_logits, WholeTextLogits, within_class, within_text, zero)
from .teacher_maps import absolute_integrals, corpus_maps, embedding_output, grad_cam, saliency
from .originals import (adkd_original, ADKDOriginal, dixtill_original, DiXtillOriginal, e2kd_original, E2KDOriginal, embeddings_read,
                        ig_augment_original, ig_augment_shuffled, IGAugmentOriginal, overlaid, word_student)
from .original_rekd import (hard_choice, rekd_no_rationale, rekd_original, rekd_select_only, REKDOriginal, selected, softened_choice)

__all__ = ["baseline_loss", "Batch", "CrossEntropy", "LightX", "xai_loss", "BestEpoch", "decayed_sums", "LazyRows", "RowAdam", "RowMomentum", "Examples",
           "explain_student", "learning_rates", "only_used_rows", "OPTIMIZERS", "predict_student", "SCHEDULES", "toy_corpus", "train_student",
           "TrainerState", "ADKD", "attribution_map", "Combined", "DiXtill", "E2KD", "IGAugment", "kl_losses", "LogitMatch", "map_cosine",
           "map_distance", "of_decided_class", "rationale", "rationale_loss", "REKD", "SoftLabels", "token_dropout", "checked_words",
           "find_words", "Ignoring", "word_ids", "AutoLightX", "DWA", "EqualGradientNorms", "gradient_stats", "GradientStats", "GradNorm",
           "PCGrad", "RULES", "Uncertainty", "StackedLightX", "StudentStack", "check_unlabelled", "find_method", "method", "METHODS", "mlp",
           "NEED_UNLABELLED", "run_plan", "Task", "train", "TrainingPlan", "UNTRAINED", "adkd", "BEST", "best", "best_unlabelled",
           "bigram_student", "ce", "dixtill", "dixtill_printed", "e2kd", "head_pruning", "ig_augment", "int8", "kl", "lightx", "lightx_auto",
           "lightx_matched", "lightx_random", "lightx_shuffled", "lightx_wrong_class", "logit_mse", "lstm", "lstm_ce", "lstm_kl", "lstm_mse",
           "MATCHED", "rekd", "best_10", "best_adkd", "best_kd", "best_dropout", "control", "recipe", "best_even_spread", "best_within_text", "best_zero", "even_spread", "noise", "noise_like",
           "of_same_class", "permuted_within", "spread_evenly", "whole_text_logits", "WholeTextLogits", "within_class", "within_text",
           "zero", "absolute_integrals", "corpus_maps", "embedding_output", "grad_cam", "saliency", "adkd_original", "ADKDOriginal",
           "dixtill_original", "DiXtillOriginal", "e2kd_original", "E2KDOriginal", "embeddings_read", "hard_choice", "ig_augment_original",
           "ig_augment_shuffled", "IGAugmentOriginal", "overlaid", "rekd_no_rationale", "rekd_original", "rekd_select_only",
           "REKDOriginal", "selected", "softened_choice", "word_student"]
