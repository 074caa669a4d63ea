"""Labelled texts: corpora, balanced subsets, token ids, batches as tensors"""

from .corpus import (balanced, corpus_name, encode_labels, fingerprint, from_datasets, KNOWN_LABELS, label_names, load_corpus, load_texts,
                     package_folder, read_bbc, read_files, read_hub, read_memory, read_table, to_corpus)
from .tokens import pad, tokenize

__all__ = ["balanced", "corpus_name", "encode_labels", "fingerprint", "from_datasets", "KNOWN_LABELS", "label_names", "load_corpus", "load_texts",
           "package_folder", "read_bbc", "read_files", "read_hub", "read_memory", "read_table", "to_corpus", "pad", "tokenize"]
