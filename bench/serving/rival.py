"""llama.cpp's server: found, or built from the source distribution of llama-cpp-python."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

__all__ = ["SDIST", "build", "found", "version"]

SDIST = "llama-cpp-python==0.3.36"

FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",
    "-DGGML_OPENMP=ON",
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DBUILD_SHARED_LIBS=ON",
)


def found(given: Path | None, folder: Path) -> Path | None:
    """The program: the one given, else the one built before, else that of the PATH."""
    if given is not None:
        return given
    built = _program(folder)
    on_path = shutil.which("llama-server")
    return built if built.exists() else Path(on_path) if on_path else None


def build(folder: Path) -> Path:
    """Fetch the sources and compile them under `folder`, which takes an hour of one processor."""
    folder.mkdir(parents=True, exist_ok=True)
    name, _ = SDIST.split("==")
    pip = [sys.executable, "-m", "pip", "download", "--no-binary", name, "--no-deps", "--dest", str(folder), SDIST]
    subprocess.run(pip, check=True)
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as sources:
        sources.extractall(folder, filter="data")
    source = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
    tools = Path(sys.executable).parent
    cmake, ninja = str(tools / "cmake"), f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"
    subprocess.run([cmake, "-S", str(source), "-B", str(folder / "build"), "-G", "Ninja", ninja, *FLAGS], check=True)
    subprocess.run([cmake, "--build", str(folder / "build"), "--target", "llama-server"], check=True)
    return _program(folder)


def version(program: Path) -> str:
    """What the program says it is."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return next((line for line in (done.stdout + done.stderr).splitlines() if line.startswith("version")), "unknown")


def _program(folder: Path) -> Path:
    return folder / "build" / "bin" / "llama-server"
