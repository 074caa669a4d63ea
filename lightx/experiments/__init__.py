"""From a corpus to a figure: prepared data, results files, papermill runs, the sweep over alpha, the comparison of methods"""

from .preparation import PAPER, PAPER_SETTINGS, prepare, Prepared, Taught, teach, tfidf_svm
from .results import PACKAGES, provenance, read_results, write_results
from .runs import (check_parameters, collect, default_parameters, experiment_notebook, injected_names, NOTEBOOKS, parse_parameter, QUIET,
                   result_files, run_all, run_notebook)
from .alpha_sweep import (advice, alpha_curves, bert_base, CURVE, curve_name, keep_rows, load_model, methods_beside, parse_alphas, READS, row_maker,
                          run_path, SHOWN, standing, summary, sweep, sweep_costs, sweep_references)
from .comparison import (compare, comparison_references, explanation_measures, load_student, mean_faithfulness, measure_student, method_costs,
                         method_path, paired_differences, shared_teacher, student_logits, teacher_occlusion)

__all__ = ["PAPER", "PAPER_SETTINGS", "prepare", "Prepared", "Taught", "teach", "tfidf_svm", "PACKAGES", "provenance", "read_results",
           "write_results", "check_parameters", "collect", "default_parameters", "experiment_notebook", "injected_names", "NOTEBOOKS",
           "parse_parameter", "QUIET", "result_files", "run_all", "run_notebook", "advice", "alpha_curves", "bert_base", "CURVE", "curve_name",
           "keep_rows", "load_model", "methods_beside", "parse_alphas", "READS", "row_maker", "run_path", "SHOWN", "standing", "summary", "sweep",
           "sweep_costs", "sweep_references", "compare", "comparison_references", "explanation_measures", "load_student", "mean_faithfulness",
           "measure_student", "method_costs", "method_path", "paired_differences", "shared_teacher", "student_logits", "teacher_occlusion"]
