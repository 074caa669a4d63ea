"""From a corpus to a figure: prepared data, results files, papermill runs, the sweep over alpha, the comparison of methods"""

from .preparation import (check_classes, PAPER, PAPER_SETTINGS, prepare, Prepared, Taught, teach, tfidf_svm, unlabelled_texts, warn_guessing,
                          warn_unread)
from .predictions import (as_logits, as_probabilities, class_places, LEAST, read_cells, read_predictions, read_scores, scaled, spread_scores,
                          SURE, write_predictions)
from .file_teacher import asked, decided_by, is_predictions, load_base, predicted_examples, prepare_predictions, said_of
from .results import PACKAGES, provenance, read_results, write_results
from .runs import (as_result, check_different, check_made_alike, check_methods, check_parameters, check_values, check_workers, collect,
                   default_parameters, ENGINES, experiment_notebook, injected_names, NOTEBOOKS, parse_parameter, QUIET, result_file,
                   result_files, run_all, run_notebook, run_parameters, whole_numbers)
from .alpha_sweep import (advice, alpha_curves, bert_base, checked_alphas, CURVE, curve_name, keep_rows, load_model, methods_beside, MOST_ALPHAS,
                          parse_alphas, READS, row_maker, run_path, SHOWN, standing, summary, sweep, sweep_costs, sweep_references)
from .comparison import (compare, comparison_references, explanation_measures, load_student, mean_faithfulness, measure_student, method_costs,
                         method_path, paired_differences, shared_teacher, student_logits, teacher_occlusion)
from .rivals import (best_of, captured, check_installed, fasttext_lines, fasttext_rival, in_columns, majority_rival, model2vec_rival, parts, RIVALS,
                     static_encoder, svm_rival, svm_teacher_rival, TRIALS, TRIED)
from .protocol_texts import (AGREE, BBC_AS_AG, bbc_as_ag, DECOYS, DESIGNS, FIRST, made_up_words, MARKS, part_texts, PartTexts, put_in,
                             Question, replaced, typed, with_decoys, without)
from .protocol_parts import (decided, decoy_rows, decoys_named, MASKED, measured, Part, PartTeacher, REFERENCES, worst_group)
from .protocol import (check_methods_of, kept_students, merge_results, parts_of, QUESTIONS, run_part, run_protocol, runs_of, student_rows, text_hits,
                       write_decisions)
from .protocol_statistics import (bootstrap, differences, grid_values, holm, interval, losses_between, whole)
from .claims import ahead_by, Claim, CLAIMS, lost_by, percent_of

__all__ = ["check_classes", "PAPER", "PAPER_SETTINGS", "prepare", "Prepared", "Taught", "teach", "tfidf_svm", "unlabelled_texts",
           "warn_guessing", "warn_unread", "as_logits", "as_probabilities", "class_places", "LEAST", "read_cells", "read_predictions",
           "read_scores", "scaled", "spread_scores", "SURE", "write_predictions", "asked", "decided_by", "is_predictions", "load_base",
           "predicted_examples", "prepare_predictions", "said_of", "PACKAGES", "provenance", "read_results", "write_results", "as_result",
           "check_different", "check_made_alike", "check_methods", "check_parameters", "check_values", "check_workers", "collect",
           "default_parameters", "ENGINES", "experiment_notebook", "injected_names", "NOTEBOOKS", "parse_parameter", "QUIET", "result_file",
           "result_files", "run_all", "run_notebook", "run_parameters", "whole_numbers", "advice", "alpha_curves", "bert_base",
           "checked_alphas", "CURVE", "curve_name", "keep_rows", "load_model", "methods_beside", "MOST_ALPHAS", "parse_alphas", "READS",
           "row_maker", "run_path", "SHOWN", "standing", "summary", "sweep", "sweep_costs", "sweep_references", "compare",
           "comparison_references", "explanation_measures", "load_student", "mean_faithfulness", "measure_student", "method_costs",
           "method_path", "paired_differences", "shared_teacher", "student_logits", "teacher_occlusion", "AGREE", "BBC_AS_AG", "bbc_as_ag",
           "bootstrap", "check_methods_of", "decided", "decoy_rows", "DECOYS", "decoys_named", "DESIGNS", "differences", "FIRST",
           "grid_values", "holm", "interval", "losses_between", "made_up_words", "MARKS", "MASKED", "measured", "merge_results", "Part",
           "part_texts", "PartTeacher", "parts_of", "PartTexts", "put_in", "Question", "QUESTIONS", "REFERENCES", "replaced", "run_part",
           "run_protocol", "runs_of", "student_rows", "text_hits", "typed", "whole", "write_decisions", "ahead_by", "Claim", "CLAIMS",
           "lost_by", "percent_of", "with_decoys", "without", "worst_group", "best_of", "captured", "check_installed", "fasttext_lines",
           "fasttext_rival", "in_columns", "majority_rival", "model2vec_rival", "parts", "RIVALS", "static_encoder", "svm_rival",
           "svm_teacher_rival", "TRIALS", "TRIED", "kept_students"]
