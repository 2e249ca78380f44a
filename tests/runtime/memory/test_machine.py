"""The memory of this process and machine, and the limits of control groups."""

import numpy as np
import pytest

from primer.runtime.memory import machine

GIB = 2**30


def test_the_peak_of_the_process_counts_what_it_had():
    if not machine.reset_most():
        pytest.skip("the system does not let a process reset its peak")
    before = machine.resident()
    numbers = np.ones(64 * 2**20, np.uint8)
    del numbers
    assert machine.most_resident() >= before + 60 * 2**20
    machine.reset_most()
    assert machine.most_resident() <= machine.resident() + 2**20


def test_there_is_memory_to_get():
    assert 0 < machine.available() < 2**50


@pytest.fixture
def group(monkeypatch):
    """Returns a function that sets files of a control group."""
    texts = {
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   8388608 kB\n",
        "/proc/self/status": "VmSize:\t 1024 kB\nVmRSS:\t 512 kB\n",
    }
    monkeypatch.setattr(machine, "_read", lambda path: texts.get(str(path), ""))
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (-1, -1))

    def set_files(group, folder, **files):
        texts["/proc/self/cgroup"] = f"{group}\n"
        for name, text in files.items():
            texts[f"/sys/fs/cgroup/{folder}{name.replace('__', '.')}"] = text

    return set_files


def test_a_machine_without_limits_has_what_is_available(group):
    group("0::/", "", memory__max="max\n", memory__current="5\n")
    assert machine.available() == 8 * GIB


def test_the_group_of_version_2_limits_and_files_are_reclaimable(group):
    group(
        "0::/jobs/1",
        "jobs/",
        memory__max=f"{4 * GIB}\n",
        memory__current=f"{3 * GIB}\n",
        memory__stat=f"anon 7\ninactive_file {GIB}\n",
    )
    assert machine.available() == 2 * GIB


def test_the_group_of_version_1_limits(group):
    group(
        "5:cpu,memory:/box",
        "memory/",  # A container sees its own group as the root.
        memory__limit_in_bytes=f"{GIB}\n",
        memory__usage_in_bytes=f"{GIB // 2}\n",
    )
    assert machine.available() == GIB // 2


def test_the_address_space_limits(group, monkeypatch):
    group("0::/", "")
    monkeypatch.setattr(machine.resource, "getrlimit", lambda kind: (GIB, GIB))
    assert machine.available() == GIB - 2**20


@pytest.mark.parametrize(
    "size, text", [(3 * GIB // 2, "1.5 GiB"), (2**21, "2 MiB"), (512, "0.5 KiB")]
)
def test_sizes_are_printed_with_three_digits(size, text):
    assert machine.as_text(size) == text
