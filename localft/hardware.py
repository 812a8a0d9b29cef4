"""What this machine has: threads, memory, devices, each with the reason for what is chosen."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from localft.units import count

MEMORY_SHARE = 0.8
GPU_KINDS = ("gpu", "igpu")


class DeviceLike(Protocol):
    """What is needed of a device to choose one."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def memory_free(self) -> int: ...


def choose_threads() -> tuple[int, str]:
    """Threads to compute with: the physical cores that this process may use, and why."""
    allowed = _allowed_cpus()
    quota = _cgroup_cpus()
    cores = _physical_cores() or allowed
    if quota and quota < min(allowed, cores):
        return quota, f"a quota of {quota} of {allowed} processors"
    if cores <= allowed:
        return cores, f"{count(cores, 'physical core')}"
    are = "is" if allowed == 1 else "are"
    return allowed, f"{count(allowed, 'processor')} of {_physical_cores()} {are} open to this process"


def processors() -> int:
    """Processors that this process may use, those that share a core counted each."""
    return min(_allowed_cpus(), _cgroup_cpus() or _allowed_cpus())


def threads_note(n_threads: int | None) -> str | None:
    """What there is to say of a number of threads that was asked for: they outnumber the processors."""
    n = processors()
    if n_threads is None or n_threads <= n:
        return None
    return f"{n_threads} threads share {count(n, 'processor')}: they wait for each other, --threads {n} is faster"


def choose_memory(device: DeviceLike | None = None) -> tuple[int, str]:
    """Bytes that training may use: a share of what is free now on `device` (None or a CPU: in the machine), and why."""
    on_gpu = device is not None and device.kind.lower() in GPU_KINDS
    free = device.memory_free if device is not None and on_gpu else memory_free()
    where = f" on {device.name}" if device is not None and on_gpu else ""
    return int(free * MEMORY_SHARE), f"{MEMORY_SHARE * 100:g} % of the {free / 2**30:.1f} GiB that are free{where}"


def choose_device(devices: Sequence[DeviceLike], model_bytes: int = 0) -> tuple[str, str]:
    """The name of the device to train on, and why: the GPU with most free memory if the model fits, else the CPU."""
    gpus = [device for device in devices if device.kind.lower() in GPU_KINDS]
    cpu = next((device.name for device in devices if device.kind.lower() == "cpu"), "CPU")
    if not gpus:
        return cpu, "no GPU is offered"
    best = max(gpus, key=lambda device: device.memory_free)
    if best.memory_free * MEMORY_SHARE < model_bytes:
        return cpu, f"the model does not fit into the {best.memory_free / 2**30:.1f} GiB that are free on {best.name}"
    return best.name, "the only GPU" if len(gpus) == 1 else f"of {len(gpus)} GPUs the one with most free memory"


def peak_rss() -> int:
    """Peak resident memory of this process, bytes.

    On Linux VmHWM: ru_maxrss would begin with the peak of whichever process started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def current_rss() -> int:
    """Resident memory of this process now, bytes; where the system does not say, its peak."""
    words = _read("/proc/self/statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else peak_rss()


def memory_free() -> int:
    """Bytes that are free for a new program, control groups taken into account."""
    free = _meminfo("MemAvailable") or _sysctl("hw.memsize") // 2 or _page_total()
    limit, used = _cgroup_number("memory.max"), _cgroup_number("memory.current")
    return min(free, limit - used) if limit and used is not None else free


def memory_total() -> int:
    """Bytes of memory in the machine, or in the control group where that is less."""
    total = _meminfo("MemTotal") or _sysctl("hw.memsize") or _page_total()
    return min(total, _cgroup_number("memory.max") or total)


def cpu_name() -> str:
    """What the processor calls itself."""
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        return _sysctl_text("machdep.cpu.brand_string") or platform.machine()
    return platform.processor() or platform.machine()


def _allowed_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _physical_cores() -> int:
    if sys.platform == "darwin":
        return _sysctl("hw.perflevel0.physicalcpu") or _sysctl("hw.physicalcpu")
    cores = {
        path.read_text().strip()
        for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    }
    return len(cores)


def _cgroup_cpus() -> int:
    words = _read("/sys/fs/cgroup/cpu.max").split()
    if len(words) != 2 or words[0] == "max":
        return 0
    return max(1, int(words[0]) // int(words[1]))


def _cgroup_number(name: str) -> int | None:
    text = _read(f"/sys/fs/cgroup/{name}").strip()
    return int(text) if text.isdigit() else None


def _meminfo(key: str) -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def _page_total() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _sysctl_text(key: str) -> str:
    if sys.platform != "darwin":
        return ""
    done = subprocess.run(["sysctl", "-n", key], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _sysctl(key: str) -> int:
    text = _sysctl_text(key)
    return int(text) if text.isdigit() else 0
