"""What a teacher's folder may not do."""
import json
import shutil

import pytest
import torch
from conftest import make_tokenizer

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


@pytest.mark.parametrize("kind", ["gpt2", "bart"])
def test_a_decoder_is_fine_tuned_and_teaches(kind, tmp_path, corpus_folder, monkeypatch):
    """From a base model without a head to a student, as a user would."""
    import transformers as hf

    from lightx import distill
    monkeypatch.setenv("LIGHTX_CACHE", str(tmp_path / "cache"))
    tokenizer, ends = make_tokenizer(), dict(pad_token_id=0, bos_token_id=1, eos_token_id=2, vocab_size=32)
    config = {"gpt2": hf.GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64, **ends),
              "bart": hf.BartConfig(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
                                    encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, decoder_start_token_id=2, **ends)}[kind]
    torch.manual_seed(0)
    hf.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    clf = distill(str(corpus_folder), str(tmp_path / "base"), n_per_class=6, max_length=16, recipe="lightx", steps=10, teacher_epochs=1,
                  progress=False)
    assert clf.facts["accuracy_of_the_teacher"] >= 0 and clf("goal today").words[0].text == "goal"
