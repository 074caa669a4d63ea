"""What a teacher's folder may not do."""
import json
import shutil

import pytest

from lightx.runtime import InputError
from lightx.teacher import is_finetuned, load_teacher


@pytest.mark.parametrize("ask", [load_teacher, is_finetuned])
def test_code_that_comes_with_a_model_is_never_run(ask, teacher_folder, tmp_path):
    folder, mark = shutil.copytree(teacher_folder, tmp_path / "t"), tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w').write('ran')\n")
    with pytest.raises(InputError, match="this model can't be loaded"):
        ask(str(folder))
    assert not mark.exists()
