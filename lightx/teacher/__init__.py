"""Any Hugging Face sequence classifier: fine-tuned, made cheaper to ask, compressed"""

from .forward import check_forward, max_positions, own_logits, plain_forward, read_positions, stand_alone
from .finetuning import (best_device, check_teacher, find_model, finetune, is_finetuned, load_finetuned, load_teacher,
                         predict_logits, quiet, Teacher, train_teacher)
from .encoder import BERT, DISTILBERT, Encoder, FAMILIES, fast_forward, faster_dtype, has_bfloat16, Layer, measure_seconds
from .compression import head_costs, int8_teacher, LogitsOnly, prune_heads

__all__ = ["check_forward", "own_logits", "read_positions", "stand_alone", "best_device", "check_teacher", "find_model", "finetune", "is_finetuned", "load_finetuned", "load_teacher", "max_positions",
           "predict_logits", "quiet", "Teacher", "train_teacher", "BERT", "DISTILBERT", "Encoder", "FAMILIES", "fast_forward", "faster_dtype",
           "has_bfloat16", "Layer", "measure_seconds", "plain_forward", "head_costs", "int8_teacher", "LogitsOnly", "prune_heads"]
