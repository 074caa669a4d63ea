"""What answers, without torch: the student in numpy, texts to tokens, answers by word, and what every part needs"""

from .inference import DTYPES, NumpyStudent, read_weights, secant, softmax, TOKENS_AT_ONCE
from .reader import (as_array, bert_rules, FEW_TEXTS, FIRST_BYTES, from_encoding, index_ranges, KIND, LETTER, LOCK, LONG, MAX_WORDS, PieceCache, PLAIN,
                     Reader, shorten, SIGN, SPACE, start_offsets, TokenizedText, WORD, word_integers, word_spans, WordCache)
from .errors import (brief, check_choice, check_extra, check_number, check_numbers, check_room, checked_texts, EXTRAS, InputError, log,
                     missing_extra, Range, RANGES, ROOM, whole_text)
from .files import atomic_path, cache_dir, check_new, claim, content_key
from .cache import damage, kept, seal, set_aside, SUMS
from .batches import length_batches, pad_arrays
from .answer import Answer, BATCH, by_word, by_words, colour, TextClassifier, tint, Word
from .loader import CLOSED_FORM, FILES, find_folder, has_closed_form, NumpyClassifier, read_about

__all__ = ["DTYPES", "NumpyStudent", "read_weights", "secant", "softmax", "TOKENS_AT_ONCE", "as_array", "bert_rules", "FEW_TEXTS", "FIRST_BYTES",
           "from_encoding", "index_ranges", "KIND", "LETTER", "LOCK", "MAX_WORDS", "PieceCache", "PLAIN", "Reader", "SIGN", "SPACE",
           "start_offsets", "TokenizedText", "WORD", "word_integers", "word_spans", "WordCache", "check_choice", "checked_texts", "EXTRAS",
           "InputError", "log", "missing_extra", "atomic_path", "cache_dir", "check_new", "claim", "content_key", "damage", "kept", "seal",
           "set_aside", "SUMS", "length_batches", "pad_arrays", "Answer", "BATCH", "by_word", "by_words", "colour", "TextClassifier", "tint",
           "Word", "CLOSED_FORM", "FILES", "find_folder", "has_closed_form", "NumpyClassifier", "read_about", "brief", "check_extra",
           "check_number", "check_numbers", "check_room", "LONG", "Range", "RANGES", "ROOM", "shorten", "whole_text"]
