"""Integrated Gradients of a teacher: plain, to a stated error, and of a corpus, kept on disk"""

from .plain import apply_target, BASELINES, class_gradients, gauss_legendre, plain_integrated_gradients, spread, TARGETS
from .paths import chosen_target, Paths, TOKENS
from .change_of_variables import ChangeOfVariables, FLOOR, probe_places, PROBES
from .adaptive import (Attributions, captum_attributions, check_settings, chosen_precision, frozen, initial_nodes, integrated_gradients,
                       padded_right, PRECISIONS, refine, ROUGH, rough_type)
from .memory import best_max_tokens, gradient_bytes
from .store import (cached_array, check_store, FIELDS, pack_shard, read_manifest, read_shard, run_settings, Store, text_key, tokenizer_key,
                    unpack_shard, weights_key)
from .answers import pair_answer, PairAnswer, PairWord, read_pairs, teacher_answers
from .corpus import (attribute, corpus_logits, describe, explain_corpus, Explainer, Explanations, fill_store, in_process, measured_sharding,
                     store_folder, StoreReport, teacher_for, verify, warn_above)
from .cluster import connect_to_ray, fill_store_on_ray, joblib_on_ray, on_best_device, on_ray, Worker, worker_resources

__all__ = ["apply_target", "BASELINES", "class_gradients", "gauss_legendre", "plain_integrated_gradients", "spread", "TARGETS", "chosen_target",
           "Paths", "TOKENS", "Attributions", "captum_attributions", "ChangeOfVariables", "check_settings", "chosen_precision", "FLOOR",
           "frozen", "initial_nodes", "integrated_gradients", "padded_right", "PRECISIONS", "probe_places", "PROBES", "refine", "ROUGH",
           "rough_type", "best_max_tokens", "gradient_bytes", "cached_array", "check_store", "FIELDS", "pack_shard", "read_manifest",
           "read_shard", "run_settings", "Store", "text_key", "tokenizer_key", "unpack_shard", "weights_key", "pair_answer", "PairAnswer",
           "PairWord", "read_pairs", "teacher_answers", "attribute", "corpus_logits", "describe", "explain_corpus", "Explainer", "Explanations",
           "fill_store", "in_process", "measured_sharding", "store_folder", "StoreReport", "teacher_for", "verify", "warn_above",
           "connect_to_ray", "fill_store_on_ray", "joblib_on_ray", "on_best_device", "on_ray", "Worker", "worker_resources"]
