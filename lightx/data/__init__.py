"""Labelled texts: corpora, balanced subsets, token ids, batches as tensors"""

from .corpus import (balanced, corpus_name, fingerprint, from_datasets, load_corpus, load_texts, package_folder, read_bbc, read_files, read_hub,
                     read_memory, to_corpus)
from .labels import alike, check_labels, checked_names, encode_labels, KNOWN_LABELS, label_names, label_of, labels_of, listed
from .tables import checked_table, csv_columns, decoded, read_table, unpacked
from .tokens import are_pairs, encode_pairs, model_inputs, pad, PairIds, tokenize

__all__ = ["alike", "balanced", "check_labels", "checked_names", "checked_table", "corpus_name", "csv_columns", "decoded", "encode_labels", "fingerprint",
           "from_datasets", "KNOWN_LABELS", "label_names", "label_of", "labels_of", "listed", "load_corpus", "load_texts", "package_folder", "read_bbc", "read_files",
           "read_hub", "read_memory", "read_table", "to_corpus", "unpacked", "are_pairs", "encode_pairs",
           "model_inputs", "pad", "PairIds", "tokenize"]
