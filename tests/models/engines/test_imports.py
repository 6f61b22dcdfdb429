"""Reading the modules loads nothing heavy: torch is for the engine thread alone."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_importing_every_engine_loads_no_heavy_library():
    names = [f"models.engines.{file.stem}" for file in (ROOT / "models" / "engines").glob("[a-z]*.py")]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "heavy = {'torch', 'transformers', 'bitsandbytes', 'peft', 'numpy', 'gguf', 'xllamacpp'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_main_thread_never_imports_torch():
    code = (
        "import sys, threading, builtins\n"
        "real = builtins.__import__\n"
        "def watched(name, *rest, **named):\n"
        "    first = name.partition('.')[0] in {'torch', 'transformers'} - set(sys.modules)\n"
        "    assert not (first and threading.current_thread() is threading.main_thread()), name\n"
        "    return real(name, *rest, **named)\n"
        "builtins.__import__ = watched\n"
        "from models.engines.transformers.engine import open_transformers\n"
        "from models.domain.load import Snapshot\nfrom models.domain.settings import Settings\n"
        "try:\n"
        "    open_transformers(Snapshot('/nowhere', 'safetensors', 'folder', 0), 'fp32', 'cpu', Settings(), print)\n"
        "except Exception as error: print(type(error).__name__)\n"
        "assert 'torch' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "CannotLoad"
