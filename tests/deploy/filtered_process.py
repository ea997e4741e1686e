"""Runs Python with a filter of system calls: `filtered_process.py FILTER ARGUMENT...`, as systemd starts a service.

FILTER is a JSON array: the error number of refused calls (null: they kill the process) and the allowed names.
"""

import json
import os
import sys

import pyseccomp


def main() -> None:
    error_number, allowed = json.loads(sys.argv[1])
    refused = pyseccomp.KILL_PROCESS if error_number is None else pyseccomp.ERRNO(error_number)
    system_calls = pyseccomp.SyscallFilter(refused)
    for name in allowed:
        try:
            system_calls.add_rule(pyseccomp.ALLOW, name)
        except OSError:
            continue  # of another architecture
    system_calls.load()
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


if __name__ == "__main__":
    main()
