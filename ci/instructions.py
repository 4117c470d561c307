"""Reads what callgrind counted, for ci/instructions.sh.

The first argument is a folder with `calls`, a line "CALLS<tab>OPERATION" for
each stretch that was counted, and `part.1`, `part.2` and so on, callgrind's
dumps of the same stretches in the same order.
"""
import os
import platform
import re
import subprocess
import sys
from collections import Counter

BASELINE = "benches/instructions/baseline.txt"
TOLERANCE = 0.03
# What the compiler and callgrind add to the name of a function.
SUFFIX = r"::h[0-9a-f]{16}|'[0-9]+$"


def compiler():
    version = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.split()[1]} on {platform.machine()}"


def stretches(folder):
    """Number of the part, calls and operation of each stretch."""
    with open(os.path.join(folder, "calls")) as file:
        for number, line in enumerate(file, 1):
            calls, operation = line.rstrip("\n").split("\t")
            yield os.path.join(folder, f"part.{number}"), int(calls), operation


def total(part):
    with open(part) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("totals:"))


def count(folder):
    """Instructions per call, by operation."""
    sums = {}
    for part, calls, operation in stretches(folder):
        instructions, before = sums.get(operation, (0, 0))
        sums[operation] = (instructions + total(part), before + calls)
    return {operation: instructions / calls for operation, (instructions, calls) in sums.items()}


def write(counts):
    with open(BASELINE, "w") as file:
        print(f"# Instructions per call, by Rust {compiler()}; see ci/instructions.sh.", file=file)
        for operation, instructions in counts.items():
            print(f"{instructions:9.1f}  {operation}", file=file)


def read():
    """The compiler and the counts of the baseline."""
    with open(BASELINE) as file:
        first, *lines = file.read().splitlines()
    by = re.search(r"by Rust (.*);", first).group(1)
    pairs = (line.split(None, 1) for line in lines)
    return by, {operation: float(instructions) for instructions, operation in pairs}


def compare(counts):
    by, baseline = read()
    worse, better = [], []
    print(f"{'instructions':>12} {'baseline':>9} {'change':>8}  per call of")
    for operation in counts.keys() | baseline.keys():
        if (operation in counts) != (operation in baseline):
            sys.exit(f"{operation!r} is not both counted and in the baseline: --update it")
    for operation, instructions in counts.items():
        change = instructions / baseline[operation] - 1
        print(f"{instructions:12.1f} {baseline[operation]:9.1f} {change:+8.1%}  {operation}")
        if change > TOLERANCE:
            worse.append(operation)
        elif change < -TOLERANCE:
            better.append(operation)
    if by != compiler():
        # What another compiler makes of the code is not the code's doing.
        print(f"NOT COMPARED: the baseline is by Rust {by}, this is {compiler()}: --update it")
        return
    if worse:
        sys.exit(f"over {TOLERANCE:.0%} more than the baseline: {'; '.join(worse)}")
    if better:
        print(f"over {TOLERANCE:.0%} less, write it down with --update: {'; '.join(better)}")


def profile(folder, wanted):
    """Prints where the instructions of an operation are: in which function, as
    compiled, and in which source file, before inlining."""
    functions, files, entered, calls = Counter(), Counter(), Counter(), 0
    for part, times, operation in stretches(folder):
        if operation == wanted:
            calls += times
            for function, file, instructions in own_costs(part, entered):
                functions[function] += instructions
                files[file] += instructions
    if not calls:
        sys.exit(f"no such operation: {wanted}")
    for title, costs in ("function", functions), ("source file", files):
        print(f"{'instructions':>12} {'share':>6}  per call in the {title}")
        for name, instructions in costs.most_common(12):
            share = instructions / costs.total()
            times = f", entered {entered[name] / calls:.1f} times" if name in entered else ""
            print(f"{instructions / calls:12.1f} {share:6.1%}  {name}{times}")


def own_costs(part, entered):
    """Function, source file and instructions of each line of a dump, without
    what the functions that it calls execute; counts how often those are
    entered."""
    function = file = callee = "?"
    of_a_call = False
    with open(part) as lines:
        for line in lines:
            if match := re.match(r"(fl|fi|fe|fn|cfn|calls)=(.*)", line):
                kind, name = match.groups()
                if kind == "fn":
                    function = re.sub(SUFFIX, "", name)
                elif kind == "cfn":
                    callee = re.sub(SUFFIX, "", name)
                elif kind == "calls":
                    entered[callee] += int(name.split()[0])
                    of_a_call = True
                else:
                    name = name.removeprefix(os.getcwd() + "/")
                    file = re.sub(r".*/(rustc/[0-9a-f]+/|index.crates.io-[^/]*/|src/(?=\w+/))", "", name)
            elif match := re.match(r"[0-9]+ ([0-9]+)$", line):
                if not of_a_call:
                    yield function, file, int(match.group(1))
                of_a_call = False


def main():
    folder, *arguments = sys.argv[1:]
    match arguments:
        case []:
            compare(count(folder))
        case ["--update"]:
            write(count(folder))
            compare(count(folder))
        case ["--profile", operation]:
            profile(folder, operation)
        case _:
            sys.exit("usage: ci/instructions.sh [--update | --profile OPERATION]")


main()
