"""The figures as a table, on the screen and in RESULTS.md."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sysconfig
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.data import GIB, MIB, DataSet
from bench.measure import Sample, peak_rss_bytes
from omsd import __version__

HEADERS = (
    "tool",
    "wall s",
    "CPU s",
    "CPU ms/object",
    "CPU s/GiB",
    "objects/s",
    "MB/s",
    "peak RSS MiB",
)


def median_of(samples: Sequence[Sample]) -> Sample:
    """Each figure's median over the runs of one tool; memory is the worst."""
    roles = samples[0].peak_rss_bytes
    return Sample(
        samples[0].tool,
        statistics.median(sample.wall_s for sample in samples),
        statistics.median(sample.cpu_s for sample in samples),
        {role: max(sample.peak_rss_bytes[role] for sample in samples) for role in roles},
        tuple(map(statistics.median, zip(*(sample.workers_cpu_s for sample in samples), strict=True))),
    )


def row_of(data: DataSet, sample: Sample) -> tuple[str, ...]:
    """The figures of one tool as cells."""
    peaks = ", ".join(f"{role} {size / MIB:.0f}" for role, size in sample.peak_rss_bytes.items())
    return (
        sample.tool,
        f"{sample.wall_s:.2f}",
        f"{sample.cpu_s:.2f}",
        f"{sample.cpu_s * 1000 / data.objects:.3f}",
        f"{sample.cpu_s * GIB / data.total_bytes:.2f}",
        f"{data.objects / sample.wall_s:.0f}",
        f"{data.total_bytes / sample.wall_s / 1e6:.0f}",
        peaks,
    )


def ratio_row(ours: Sample, theirs: Sample) -> tuple[str, ...]:
    """How many times more the other tool took."""
    wall, cpu = theirs.wall_s / ours.wall_s, theirs.cpu_s / ours.cpu_s
    memory = max(theirs.peak_rss_bytes.values()) / max(ours.peak_rss_bytes.values())
    return (
        f"{theirs.tool} / {ours.tool}",
        f"{wall:.2f}",
        f"{cpu:.2f}",
        f"{cpu:.2f}",
        f"{cpu:.2f}",
        f"{1 / wall:.2f}",
        f"{1 / wall:.2f}",
        f"{memory:.1f}",
    )


def machine_lines(weed: str, rclone: str, juicefs: str, s5cmd: str) -> list[str]:
    """What the figures were taken on; nothing that names the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    libraries = ", ".join(f"{name} {version(name)}" for name in ("uvloop", "httptools", "awscrt", "grpcio"))
    return [
        f"- {os.cpu_count()} cores ({model}), {memory_gib:.0f} GiB memory, Linux {platform.release()}",
        f"- omsd {__version__}, Python {platform.python_version()} ({_build()}), {libraries}",
        f"- SeaweedFS {_version_of(weed)} as source and destination on the same machine, rclone {_version_of(rclone)},"
        f" juicefs {_version_of(juicefs)}, s5cmd {_version_of(s5cmd)}",
    ]


def _build() -> str:
    """Matters: an interpreter built without costs about a fifth more."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    return (
        "built with" + ("" if "--enable-optimizations" in options else "out") + " profile-guided optimisation"
    )


def _version_of(program: str) -> str:
    answer = subprocess.run([program, "version"], capture_output=True, text=True, timeout=30, check=False)
    words = (answer.stdout or answer.stderr).split()
    return next((word.lstrip("v") for word in words if any(c.isdigit() for c in word) and "." in word), "?")


def peak_cells(control: int, workers: Sequence[int]) -> tuple[str, str]:
    """The most memory that the control process and each of the workers had so far, in MiB."""
    sizes = [str(peak_rss_bytes(pid) // MIB) for pid in (control, *workers)]
    return sizes[0], ", ".join(sizes[1:])


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
