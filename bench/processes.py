"""Children whose time and memory are measured, and that never outlive their parent's interest."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

#: ``ru_maxrss`` counts KiB, but bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Finished:
    """What became of a child."""

    seconds: float
    #: peak resident memory of its largest process, itself or a descendant that was waited for, in bytes
    peak: int
    #: user and system time of the child and its descendants, in seconds
    cpu: float
    status: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str | None:
        """Why it failed: its exit status and the last line it wrote to stderr."""
        if self.status == 0:
            return None
        lines = self.stderr.split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "nothing on stderr")
        return f"exit status {self.status}: {last}"


def python_command(code: str, *arguments: str) -> list[str]:
    """A command that runs code in this Python with the package that is installed, wherever the caller stands."""
    return [sys.executable, "-c", f"import sys\nsys.path.remove('')\n{code}", *arguments]


def run_child(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a command to its end and measures it; kills it and its descendants after ``timeout`` seconds.

    The caller should be a small process: a child's peak is at least the memory of the process that started it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, start_new_session=True
        )
        watchdog = threading.Timer(timeout, _kill_group, (child.pid,))
        watchdog.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            _kill_group(child.pid)
            child.wait()
            raise
        finally:
            watchdog.cancel()
        stderr = _text(err)
        if seconds >= timeout:
            stderr += f"\nkilled after {timeout:g} s"
        return Finished(
            seconds=seconds,
            peak=usage.ru_maxrss * RSS_UNIT,
            cpu=usage.ru_utime + usage.ru_stime,
            status=child.returncode,
            stdout=_text(out),
            stderr=stderr,
        )


def run_interruptible(job: Callable[[], int]) -> int:
    """The job's exit status, or 130 after Ctrl-C, SIGTERM or SIGHUP, whose work is given up and children are stopped.

    Ctrl-C is heard even where the shell started the program with it ignored.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    try:
        return job()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def limit_processors(count: int) -> int:
    """Confines this process and its children to ``count`` processors where the system can; returns how many it has."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    chosen = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, chosen)
    return len(chosen)


def processor_model() -> str:
    """The processor's name as the system gives it."""
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
