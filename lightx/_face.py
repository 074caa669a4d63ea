"""What `import lightx` names that no single part holds."""
from . import deploy # noqa: F401 so that what is loaded can be audited, edited and recorded
from .runtime import find_folder, has_closed_form, InputError, NumpyClassifier, read_about


def load(
    name,     # a folder from `lightx distill`, `save_pretrained` or `lightx export`, or a name on the hub
    **options # of `huggingface_hub.snapshot_download`, such as `revision` and `token`
):            # -> `lightx.runtime.TextClassifier`
    "A classifier that answers and explains itself; in numpy, without torch, wherever the explanation has a closed form."
    folder = find_folder(name, **options)
    if has_closed_form(folder): return NumpyClassifier.from_folder(folder).with_calibration(folder)
    student = read_about(folder).get("student")
    try: from .deploy import Classifier, OnnxClassifier
    except ModuleNotFoundError:
        kind = student or "a graph of version 0.1"
        raise InputError(f"{name}: its student ({kind}) needs torch: pip install 'lightx[train]'") from None
    if student or not (folder / "model.onnx").is_file(): return Classifier.from_pretrained(folder)
    return OnnxClassifier(folder).with_calibration(folder)
