"""Gradio is imported without parsing its components to write their stubs, and works as ever."""

import inspect
import os
import subprocess
import sys

import pytest

from models.system import stubs
from models.system.processes import ROOT

IMPORT = """
import ast, sys
parse, parsed = ast.parse, []
def counted(source, *args, **kwargs):
    parsed.append(sys._getframe(1).f_globals["__name__"])
    return parse(source, *args, **kwargs)
ast.parse = counted
{line}
import gradio
print(parsed.count("gradio.component_meta"), bool(gradio.Textbox().get_config()))
"""
AS_WITH_CUDA = "sys.path.insert(1, 'tests/zerogpu'); import emulation; emulation.build_with_cuda()"


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("from models.system import stubs\nwith stubs.left_out(): import gradio", {}),
        (
            f"{AS_WITH_CUDA}\nimport models.compute.gpu",
            {"SPACES_ZERO_GPU": "1", "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:1"},
        ),
    ],
    ids=["page", "ZeroGPU"],
)
def test_no_component_is_parsed(line: str, env: dict[str, str]) -> None:
    command = [sys.executable, "-c", IMPORT.format(line=line)]
    done = subprocess.run(command, env=os.environ | env, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_everything_else_is_found_as_before() -> None:
    before = inspect.getfile

    def create_or_modify_pyi() -> str:
        return inspect.getfile(test_no_component_is_parsed)

    with stubs.left_out():
        assert inspect.getfile(test_no_component_is_parsed) == __file__
        with pytest.raises(OSError, match="stub"):
            create_or_modify_pyi()
    assert create_or_modify_pyi() == __file__
    assert inspect.getfile is before
