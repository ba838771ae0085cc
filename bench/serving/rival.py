"""llama.cpp and its fork: found, or built from the source distributions of their Python bindings."""

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SDISTS", "build", "found", "version"]

SDISTS = {"llama.cpp": "llama-cpp-python==0.3.36", "ik_llama.cpp": "ik-llama-cpp-python==0.1.5"}

FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DGGML_OPENMP=ON",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    # Where the fork keeps its benches; of them only the targets named are compiled.
    "-DLLAMA_BUILD_EXAMPLES=ON",
    "-DBUILD_SHARED_LIBS=ON",
)

VERSION_SCRIPT = """\
set(BUILD_NUMBER 0)
set(BUILD_COMMIT "{sdist}")
configure_file(common/build-info.cpp.in common/build-info.cpp)
"""
"""What ik_llama.cpp's build runs to write its version down, and its source distribution leaves out."""

EDITS = (
    # The fork's bench gives token 0 to all, who then want the same experts; llama.cpp's draws tokens.
    (
        "examples/batched-bench/batched-bench.cpp",
        "common_batch_add(batch, 0, ",
        "common_batch_add(batch, std::rand() % llama_n_vocab(model), ",
    ),
    # GCC 12 believes that the intrinsic reads 8 bytes of the 64 and leaves out the rest; the processor then faults.
    ("ggml/src/ggml-cpu/amx/mmq.cpp", "_tile_loadconfig(&tc);", '__asm__ volatile("ldtilecfg %0" : : "m"(tc));'),
)
"""File, what stands there, and what is right: without these a rival would be measured wrongly, or not at all."""


def found(given: Path | None, folder: Path) -> Path | None:
    """The program: the one given, else the one built before, else that of the PATH."""
    if given is not None:
        return given
    built = folder / "build" / "bin" / "llama-server"
    on_path = shutil.which("llama-server")
    return built if built.exists() else Path(on_path) if on_path else None


def build(folder: Path, sdist: str = SDISTS["llama.cpp"], programs: Sequence[str] = ("llama-server",)) -> Path:
    """Fetch the sources and compile the programs under `folder`, which takes an hour of one processor; the first."""
    folder.mkdir(parents=True, exist_ok=True)
    name = sdist.partition("==")[0]
    files = f"{name.replace('-', '_')}-*"
    pip = [sys.executable, "-m", "pip", "download", "--no-binary", name, "--no-deps"]
    subprocess.run([*pip, "--dest", str(folder), sdist], check=True)
    with tarfile.open(next(folder.glob(f"{files}.tar.gz"))) as sources:
        sources.extractall(folder, filter="data")
    source = next(each.parent for each in folder.glob(f"{files}/vendor/*/CMakeLists.txt"))
    _mend(source, sdist)
    tools = Path(sys.executable).parent
    cmake, ninja = str(tools / "cmake"), f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"
    subprocess.run([cmake, "-S", str(source), "-B", str(folder / "build"), "-G", "Ninja", ninja, *FLAGS], check=True)
    targets = [word for program in programs for word in ("--target", program)]
    subprocess.run([cmake, "--build", str(folder / "build"), *targets], check=True)
    return folder / "build" / "bin" / programs[0]


def _mend(source: Path, sdist: str) -> None:
    """Put in place what the sources lack, and put right what is wrong in them."""
    script = source / "common" / "cmake" / "build-info-gen-cpp.cmake"
    if not script.exists():
        script.parent.mkdir(exist_ok=True)
        script.write_text(VERSION_SCRIPT.format(sdist=sdist), "utf-8")
    for name, wrong, right in EDITS:
        if (file := source / name).exists():
            file.write_text(file.read_text("utf-8").replace(wrong, right), "utf-8")


def version(program: Path) -> str:
    """What the program says it is."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return next((line for line in (done.stdout + done.stderr).splitlines() if line.startswith("version")), "unknown")
