import json
from pathlib import Path

from ossia.checkpoint import write
from ossia.checkpoint.sources.others import llama_cpp_models, lm_studio_models
from tests.checkpoint.models import TINY, tensors_for
from tests.checkpoint.sources.keeping import gguf_file


def test_lm_studio(tmp_path: Path):
    folder = tmp_path / "lmstudio-community" / "gpt-oss-20b-GGUF"
    folder.mkdir(parents=True)
    gguf_file(folder / "gpt-oss-20b-MXFP4.gguf")
    (folder / "mmproj-model.gguf").write_bytes(b"GGUF")
    mlx = tmp_path / "mlx-community" / "gpt-oss-20b-MXFP4-Q8"
    write(mlx, TINY, tensors_for(TINY))
    (tmp_path / "stray.gguf").write_bytes(b"GGUF")
    found = {local.name: local for local in lm_studio_models(tmp_path)}
    assert sorted(found) == ["lmstudio-community/gpt-oss-20b-GGUF:MXFP4", "mlx-community/gpt-oss-20b-MXFP4-Q8"]
    assert found["lmstudio-community/gpt-oss-20b-GGUF:MXFP4"].same_as == "openai/gpt-oss-20b"
    assert found["mlx-community/gpt-oss-20b-MXFP4-Q8"].path == mlx
    assert list(lm_studio_models(tmp_path / "none")) == []


def test_llama_cpp(tmp_path: Path):
    gguf_file(tmp_path / "ggml-org_gpt-oss-20b-GGUF_gpt-oss-20b-mxfp4.gguf")
    gguf_file(tmp_path / "mine.gguf")
    (tmp_path / "manifest=ggml-org=gpt-oss-20b-GGUF=latest.json").write_text(json.dumps({}))
    (tmp_path / "half.gguf.downloadInProgress").write_text("")
    found = {local.name: local.same_as for local in llama_cpp_models(tmp_path)}
    assert found == {"ggml-org/gpt-oss-20b-GGUF:MXFP4": "openai/gpt-oss-20b", "mine:mine": None}
