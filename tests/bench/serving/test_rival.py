"""What is put right in a rival's sources before they are compiled."""

from pathlib import Path

from bench.serving.rival import _mend


def test_the_fork_gets_its_script_and_its_edits(tmp_path: Path):
    bench = tmp_path / "examples" / "batched-bench" / "batched-bench.cpp"
    bench.parent.mkdir(parents=True)
    bench.write_text("common_batch_add(batch, 0, pp + i, { j }, true);\n")
    (tmp_path / "common").mkdir()
    for _ in range(2):  # a second build changes nothing more
        _mend(tmp_path, "ik-llama-cpp-python==0.1.5")
    assert bench.read_text() == "common_batch_add(batch, std::rand() % llama_n_vocab(model), pp + i, { j }, true);\n"
    script = (tmp_path / "common" / "cmake" / "build-info-gen-cpp.cmake").read_text()
    assert 'set(BUILD_COMMIT "ik-llama-cpp-python==0.1.5")' in script


def test_sources_that_have_all_stay_as_they_are(tmp_path: Path):
    script = tmp_path / "common" / "cmake" / "build-info-gen-cpp.cmake"
    script.parent.mkdir(parents=True)
    script.write_text("its own")
    _mend(tmp_path, "llama-cpp-python==0.3.36")
    assert script.read_text() == "its own"
    assert not (tmp_path / "examples").exists()
