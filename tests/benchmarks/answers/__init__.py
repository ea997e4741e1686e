"""Measures answers from outside: Parley beside two bots that mark what is possible and what is usual.

`floor` makes the fewest calls from raw sockets, `naive` is what most people write first. All three run against the
project's stand-ins, in one run. `bench_answers` is the command; `CONTRIBUTING.md` explains the columns.
"""
