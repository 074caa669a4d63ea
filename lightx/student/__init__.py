"""Small networks that explain themselves: `student(ids, mask)` and `student.explain(ids, mask)`"""

from .mlp import MLPStudent, new_student, relu_secant
from .bigram import bigram_information, BigramStudent
from .lstm import LSTMStudent, without_fusion
from .word_lstm import WordLSTMStudent
from .selection import SelectStudent
from .initial_embeddings import principal_components, sif_weights, teacher_embeddings, token_vectors, vocabulary_vectors

STUDENTS = {o.__name__: o for o in (MLPStudent, BigramStudent, LSTMStudent, SelectStudent)} # what a saved classifier may hold

__all__ = ["STUDENTS", "MLPStudent", "new_student", "relu_secant", "bigram_information", "BigramStudent", "LSTMStudent", "without_fusion", "WordLSTMStudent",
           "SelectStudent", "principal_components", "sif_weights", "teacher_embeddings", "token_vectors", "vocabulary_vectors"]
