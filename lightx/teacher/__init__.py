"""Any Hugging Face sequence classifier: fine-tuned, made cheaper to ask, compressed"""

from .finetuning import best_device, quiet, Teacher, train_teacher
from .folder import (align_classes, check_finite_model, check_loaded, check_sizes, find_model, has_head, load_tokenizer, model_key,
                     not_to_be_had, read_config, reorder_head, weight_files)
from .forward import check_forward, max_positions, own_logits, plain_forward, read_positions, reads_segments, stand_alone
from .loading import check_teacher, finetune, is_finetuned, load_finetuned, load_teacher, predict_logits
from .encoder import attention, BERT, DISTILBERT, Encoder, FAMILIES, Layer
from .decoder import Decoder, DecoderLayer, DECODERS
from .fast import fast_forward, faster_dtype, has_bfloat16, measure_seconds
from .compression import head_costs, int8_teacher, LogitsOnly, prune_heads

__all__ = ["align_classes", "check_finite_model", "check_loaded", "check_sizes", "find_model", "has_head", "load_tokenizer", "model_key",
           "not_to_be_had", "read_config", "reorder_head", "weight_files", "check_forward", "max_positions", "own_logits", "plain_forward",
           "read_positions", "reads_segments", "stand_alone", "best_device", "check_teacher", "finetune", "is_finetuned", "load_finetuned",
           "load_teacher", "predict_logits", "quiet", "Teacher", "train_teacher", "attention", "BERT", "DISTILBERT", "Encoder", "FAMILIES",
           "Layer", "Decoder", "DecoderLayer", "DECODERS", "fast_forward", "faster_dtype", "has_bfloat16", "measure_seconds", "head_costs",
           "int8_teacher", "LogitsOnly", "prune_heads"]
