"""What answers, without torch: the student in numpy, texts to tokens, answers by word, and what every part needs"""

from .inference import NumpyStudent, secant, softmax, TOKENS_AT_ONCE
from .weights import DTYPES, read_header, read_weights
from .reader import (as_array, bert_rules, FEW_TEXTS, FIRST_BYTES, from_encoding, index_ranges, KIND, LETTER, LOCK, LONG, MAX_WORDS, PieceCache,
                     PLAIN, Reader, shorten, SIGN, SPACE, start_offsets, TokenizedText, WORD, word_integers, word_spans, WordCache)
from .errors import (brief, card_text, check_choice, check_extra, check_number, check_numbers, check_room, checked_texts, EXTRAS, InputError,
                     log, missing_extra, Range, RANGES, ROOM, whole_text)
from .files import atomic_path, cache_dir, check_new, claim, content_key, leftovers, read_json, remove
from .cache import content_name, damage, kept, read_shard, seal, set_aside, SUMS
from .batches import length_batches, pad_arrays
from .answer import Answer, BATCH, by_word, by_words, class_name, colour, TextClassifier, tint, Word
from .edits import are_edits, as_read, check_edits, EditedClassifier, EditedReader, edits_in_words, kept_pull, words_as_read
from .loader import (check_finite, check_parts, check_shapes, check_sums, checksum, CLOSED_FORM, fetched, FILES, find_folder, has_closed_form,
                     local_folder, match_names, missing_files, named, NumpyClassifier, read_about, read_tokenizer, write_about)
from .abstention import calibrated_sums, Calibration, CALIBRATION, confidence, read_calibration, write_calibration

__all__ = ["DTYPES", "NumpyStudent", "read_header", "read_weights", "secant", "softmax", "TOKENS_AT_ONCE", "as_array", "bert_rules", "FEW_TEXTS",
           "FIRST_BYTES", "from_encoding", "index_ranges", "KIND", "LETTER", "LOCK", "LONG", "MAX_WORDS", "PieceCache", "PLAIN", "Reader",
           "shorten", "SIGN", "SPACE", "start_offsets", "TokenizedText", "WORD", "word_integers", "word_spans", "WordCache", "brief",
           "card_text", "check_choice", "check_extra", "check_number", "check_numbers", "check_room", "checked_texts", "EXTRAS", "InputError",
           "log", "missing_extra", "Range", "RANGES", "ROOM", "whole_text", "atomic_path", "cache_dir", "check_new", "claim", "content_key",
           "leftovers", "read_json", "remove", "content_name", "damage", "kept", "read_shard", "seal", "set_aside", "SUMS", "length_batches", "pad_arrays",
           "Answer", "BATCH", "by_word", "by_words", "class_name", "colour", "TextClassifier", "tint", "Word", "are_edits", "as_read",
           "check_edits", "EditedClassifier", "EditedReader", "edits_in_words", "kept_pull", "words_as_read", "check_finite", "check_parts",
           "check_shapes", "check_sums", "checksum", "CLOSED_FORM", "fetched", "FILES", "find_folder", "has_closed_form", "local_folder",
           "match_names", "missing_files", "named", "NumpyClassifier", "read_about", "read_tokenizer", "write_about", "calibrated_sums",
           "Calibration", "CALIBRATION", "confidence", "read_calibration", "write_calibration"]
