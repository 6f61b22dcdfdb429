"""Third-party exceptions become the errors that visitors see, without local paths."""

import errno

import jinja2
import pytest

from models.domain.errors import CorruptWeights, DiskFilled, EngineFailed, GpuFailed, OutOfMemory, TemplateFailed
from models.engines.library_errors import detail_of, translate, translated, without_paths


def named(name, base=Exception):
    return type(name, (base,), {})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (named("OutOfMemoryError", RuntimeError)("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemory),
        (OSError(errno.ENOSPC, "No space left on device", "/home/u/.cache/x"), DiskFilled),
        (named("SafetensorError")("Error while deserializing header: HeaderTooLarge"), CorruptWeights),
        (jinja2.exceptions.TemplateError("no system role"), TemplateFailed),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemory),
        (named("AcceleratorError", RuntimeError)("CUDA error: an illegal memory access was encountered"), GpuFailed),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), GpuFailed),
        (RuntimeError("shapes cannot be multiplied"), EngineFailed),
        (KeyError(), EngineFailed),
    ],
)
def test_each_kind(error, kind):
    assert type(translate(error, "while loading")) is kind


def test_a_paddock_error_passes_unchanged():
    first = OutOfMemory(during="somewhere")
    with pytest.raises(OutOfMemory) as caught, translated("elsewhere"):
        raise first
    assert caught.value is first


def test_the_cause_is_kept_for_the_log():
    with pytest.raises(EngineFailed) as caught, translated("x"):
        raise ValueError("why")
    assert isinstance(caught.value.__cause__, ValueError)
    assert "ValueError: why" in caught.value.message


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("cannot open /home/user/.cache/m/model.safetensors: bad", "cannot open …model.safetensors: bad"),
        (r"cannot open C:\Users\me\model.gguf now", "cannot open …model.gguf now"),
        ("shapes 3/4 and 2/3 differ", "shapes 3/4 and 2/3 differ"),
        ("see file:///etc/passwd", "see …passwd"),
    ],
)
def test_paths_do_not_leak(text, clean):
    assert without_paths(text) == clean


def test_long_words_are_cut():
    assert len(detail_of(ValueError("x" * 5000))) < 330
