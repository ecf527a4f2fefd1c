"""The fence around a worker: what a process that opens a stranger's file may still do.

`python -m engine.sandbox MODULE MEMORY SECONDS` puts the fence up and then runs the module's `main()` inside it. That
comes before numpy is imported, for Landlock holds the thread that asks for it and those that come after, and numpy
starts threads of its own. On Linux the fence has three parts, none of which needs a package or a right:

- limits (`setrlimit`): memory, files, processor time; no core dumps;
- Landlock: it reads its code and its libraries, writes nothing, sends no signal out;
- a seccomp filter: no socket, no new process or program, no change to anybody else's process or file.

What a system lacks of it is left out, and `gaps` says so; what it has and refuses ends the worker.

Sources: https://docs.kernel.org/userspace-api/landlock.html, .../seccomp_filter.html, setrlimit(2), capabilities(7).
"""

import ctypes
import errno
import functools
import importlib
import importlib.util
import os
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from storage.home import home

ROOT = Path(__file__).resolve().parent.parent
UNFENCED = 70
"""The exit status of a worker whose fence could not be put up."""

# The root itself holds the evidence store and the subjects, so that its folders are named one by one.
_CODE = ("attacks", "core", "data_files", "engine", "explainers", "models", "sample_models", "tests")
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/localtime",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
_NVIDIA = ("/proc/driver/nvidia", "/proc/devices", "/sys/bus/pci", "/sys/devices")

_OPEN_FILES = 256


def main() -> None:
    """Runs the module that the command line names, fenced."""
    module, memory, seconds = sys.argv[1:]
    try:
        enter(int(memory), int(seconds))
    except (OSError, ValueError):
        traceback.print_exc()
        sys.exit(UNFENCED)
    importlib.import_module(module).main()


def enter(memory: int, seconds: int = 0) -> tuple[str, ...]:
    """Fences this process for good; what of it the system has. Raises OSError where it refuses what it has.

    `memory` in MiB; `seconds` of processor time, all threads together, 0 for no limit.
    """
    sys.meta_path.insert(0, _Packages())
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != ROOT]
    if sys.platform == "win32":
        return ()
    _limit(memory, seconds)
    if sys.platform != "linux":
        return ("limits",)
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208 - names are enough
        raise OSError(errno.EBUSY, "a thread was started before the fence was up")
    tempfile.tempdir = "/tmp"  # a library that asks where is told without a file being written to see whether it may
    _give_up_rights()
    enforced = ["limits"]
    if abi := _landlock_abi():
        _restrict_files(abi)
        enforced.append(f"landlock {abi}")
    if _has_seccomp():
        _filter_calls()
        enforced.append("seccomp")
    return tuple(enforced)


def gaps() -> tuple[str, ...]:
    """What the fence cannot hold on this system, a sentence each. Fences nothing and loads nothing."""
    if sys.platform == "win32":
        return (
            "Windows holds a worker by its time limit only: a hostile file could have it read and change what this "
            "account can, use the network and take all memory.",
        )
    if sys.platform != "linux":
        return (
            "This system holds a worker by its time and its number of processes only: a hostile file could have it "
            "read what this account can read, use the network and take all memory.",
        )
    return tuple(_linux_gaps())


def _linux_gaps() -> Iterator[str]:
    abi = _landlock_abi()
    if not abi:
        yield (
            "This kernel, or the container around it, has no Landlock: a hostile file could have a worker read and "
            "change the files that this account can."
        )
    elif abi < 3:
        yield "This kernel's Landlock is an old one: a hostile file could have a worker empty files of this account."
    if not _has_seccomp():
        yield (
            "This kernel or processor has no system call filter that Assay knows: a hostile file could have a worker "
            "use the network, start processes and end others of this account."
        )
    around = [path for path in map(Path, _readable()) if abi and home().resolve().is_relative_to(path.resolve())]
    if around:
        yield f"The evidence lies in {around[0]}, where a worker's libraries are: a worker could read it."


class _Packages:
    """Finds the code's packages, for a fenced process cannot list the folder that they are in."""

    def __init__(self) -> None:
        self._specs = {name: importlib.util.find_spec(name) for name in _CODE}

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The importer's question: where the package `name` is."""
        return self._specs.get(name)


# --- limits ----------------------------------------------------------------------------------------------------------


def _limit(memory: int, seconds: int) -> None:
    """Resource limits, hard ones: a worker cannot raise them again."""
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: _OPEN_FILES}
    if sys.platform == "linux":
        # CUDA reserves more addresses than there is memory; what it then writes to counts as data.
        limits[resource.RLIMIT_DATA if _nvidia() else resource.RLIMIT_AS] = memory << 20
    else:
        limits[resource.RLIMIT_NPROC] = 0  # counts threads on Linux, where the filter bars processes instead
    pairs = {kind: (value, value) for kind, value in limits.items()}
    if seconds:
        pairs[resource.RLIMIT_CPU] = (seconds, seconds + 1)  # SIGXCPU at the first, which says why; then SIGKILL
    for kind, pair in pairs.items():
        most = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, pair if most == resource.RLIM_INFINITY else tuple(min(each, most) for each in pair))


# --- rights ----------------------------------------------------------------------------------------------------------

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_GET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 21, 38
_SIGKILL = 9
_MAY_KEEP = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root still reads code that is another's
_CAPABILITY_VERSION_3 = 0x20080522


def _give_up_rights() -> None:
    """Ends with its parent, is not looked into by others of its account, and has no more of root than its files."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    head = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: the low words, then the high ones
    _done("capget", _libc().capget(head, held))
    permitted = struct.unpack("=6I", held)[1] & _MAY_KEEP
    _done("capset", _libc().capset(head, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0)))


# --- Landlock --------------------------------------------------------------------------------------------------------

_WRITE_FILE, _READ_FILE, _READ_DIR, _IOCTL_DEV = 1 << 1, 1 << 2, 1 << 3, 1 << 15
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many kinds of access each version knows; 16 from the fifth on
_TCP, _SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PROBE, _PATH_BENEATH = 1, 1


@functools.cache
def _landlock_abi() -> int:
    """The version of Landlock, 0 where there is none."""
    return max(0, _libc().syscall(_CREATE_RULESET, None, 0, _PROBE))


def _restrict_files(abi: int) -> None:
    """Nothing but reading, and that of code and libraries. A right that is handled and not granted is denied."""
    handled = (1 << _FILE_RIGHTS.get(abi, 16)) - 1
    head = struct.pack("=QQQ", handled, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    rules = _call(_CREATE_RULESET, head, len(head), 0)
    for path in _readable():
        _grant(rules, path, _READ_FILE | _READ_DIR)
    _grant(rules, "/dev/null", _WRITE_FILE)
    for path in _nvidia():
        _grant(rules, path, (_READ_FILE | _READ_DIR | _WRITE_FILE | _IOCTL_DEV) & handled)
    _call(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _grant(rules: int, path: str, rights: int) -> None:
    """Grants `rights` to a file or to a folder with all that is in it, where it exists."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    if not os.path.isdir(path):  # noqa: PTH112 - these are strings
        rights &= ~_READ_DIR
    _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _readable() -> list[str]:
    """What a worker may read: files, and folders with all that is in them."""
    code = [ROOT / name for name in _CODE if name != "sample_models"]
    code += (ROOT / "sample_models").glob("*.py")
    python = [Path(each).resolve() for each in sys.path]
    python += [Path(sys.base_prefix, "lib"), Path(sys.base_prefix, "lib64")]
    named = [os.environ.get("NUMBA_CACHE_DIR", ""), *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
    paths = [str(path) for path in code + python if path != ROOT]
    return [*paths, *_SYSTEM, *filter(os.path.isabs, named), *(_NVIDIA if _nvidia() else ())]


@functools.cache
def _nvidia() -> tuple[str, ...]:
    """The devices of NVIDIA's driver, where there is one."""
    return tuple(map(str, Path("/dev").glob("nvidia*")))


# --- the filter of system calls --------------------------------------------------------------------------------------

# Name: its number on x86_64 and on aarch64, -1 where there is none.
_BARRED = {
    # the network, and sockets on this machine
    "socket": (41, 198), "socketpair": (53, 199),
    # new processes and programs
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281), "unshare": (272, 97),
    "setns": (308, 268),
    # other processes of this account
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # what programs share by number or name, outside the file system
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "mq_open": (240, 180), "mq_unlink": (241, 181), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
    # the kernel's own machinery
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "open_by_handle_at": (304, 265),
    # changes to files that Landlock does not see
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, -1), "fchown": (93, 55),
    "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1),
    "utimensat": (280, 88), "truncate": (76, 45), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
_CLONE, _KILL, _TGKILL, _PRLIMIT64, _SECCOMP = (56, 220), (62, 129), (234, 131), (302, 261), (317, 277)
# From this number on (Linux 5.1: io_uring, pidfd, the new mount) a call is answered as by an older kernel, which every
# library has to cope with. The numbers are the same on every processor.
_NEWER = 424
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # AUDIT_ARCH_*, the column above
_CLONE_THREAD = 0x10000
_SET_MODE_FILTER, _NO_SLOWDOWN = 1, 4  # without the second, Linux before 5.16 slows every load after a store

_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _END = 0x7FFF0000, 0x80000000
_REFUSE, _UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # where they are in what the filter is shown


def _has_seccomp() -> bool:
    """Whether the kernel filters calls, and their numbers are known here."""
    known = os.uname().machine in _MACHINES and sys.maxsize > 2**32
    return known and _libc().prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def _filter_calls() -> None:
    steps = _steps()
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    number = _SECCOMP[_MACHINES[os.uname().machine][1]]
    _call(number, _SET_MODE_FILTER, _NO_SLOWDOWN, struct.pack("@HP", len(steps), ctypes.addressof(program)))


def _steps() -> list[tuple[int, int, int, int]]:
    """The filter: instruction, how many steps to skip if true and if false, operand."""
    machine, column = _MACHINES[os.uname().machine]
    steps = [(_LOAD, 0, 0, _MACHINE), (_IF_EQUAL, 1, 0, machine), (_RETURN, 0, 0, _END)]
    steps += [(_LOAD, 0, 0, _NUMBER), (_IF_ABOVE, 0, 1, _NEWER), (_RETURN, 0, 0, _UNKNOWN)]
    for numbers in _BARRED.values():
        if numbers[column] >= 0:
            steps += [(_IF_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _REFUSE)]
    for numbers, check, wanted in (
        (_CLONE, _IF_ANY_BIT, _CLONE_THREAD),
        (_KILL, _IF_EQUAL, os.getpid()),
        (_TGKILL, _IF_EQUAL, os.getpid()),
        (_PRLIMIT64, _IF_EQUAL, 0),
    ):  # allowed where their first argument passes
        steps += [(_IF_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _ARGUMENTS), (check, 1, 0, wanted)]
        steps += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


# --- the C library ---------------------------------------------------------------------------------------------------


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


def _call(number: int, *arguments: Any) -> int:
    """A system call by its number. Raises OSError where the kernel refuses."""
    passed = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _done(f"system call {number}", _libc().syscall(ctypes.c_long(number), *passed))


def _prctl(option: int, value: int) -> None:
    _done(f"prctl {option}", _libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _done(what: str, result: int) -> int:
    """The result of a call that must not fail."""
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    main()
