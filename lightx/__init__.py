"""Small text classifiers, distilled from a fine-tuned transformer on its labels and its explanations.

    clf = lightx.distill("my/news.csv", teacher="minilm")   # or a corpus's name, a table, or (texts, labels)
    clf("Oil prices soar")                                  # the class, and how much each word counts for it

The parts, in the order in which data flow; each imports only from those before it:
runtime (texts to answers), data (corpora, tokens), teacher (fine-tuning), attribution (Integrated Gradients, kept on disk),
student (networks that explain themselves), training (losses, the loop, methods by name), evaluation (metrics, plots),
experiments (the sweep over alpha, the comparison of methods), deploy (classifiers to ship), cli (the `lightx` command).
"""
__version__ = "0.2.0"

from importlib import import_module

# Each name is imported with its part when it is first asked for: `import lightx` itself loads nothing (PEP 562).
_PART = {"distill": "deploy", "load": "_face", "Classifier": "deploy", "LightXClassifier": "deploy",
         "attribute": "attribution", "integrated_gradients": "attribution"}
__all__ = list(_PART)


def __getattr__(name):
    if name not in _PART: raise AttributeError(f"module 'lightx' has no attribute {name!r}")
    try: globals()[name] = value = getattr(import_module(f"lightx.{_PART[name]}"), name)
    except ModuleNotFoundError as e:
        from .runtime import missing_extra
        raise missing_extra(e) or e from None
    return value


def __dir__(): return sorted([*globals(), *_PART])
