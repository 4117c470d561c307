"""Models from what was counted how operations scale, for ci/sharing.sh.

    sharing.py FOLDER PROGRAM [--update]

FOLDER has `counts` and `times`, as the programs of benches/sharing print them;
PROGRAM is the one that counted. With --update the tables go to BENCHMARKS.md.

The model: a closed queueing network, solved by mean value analysis. Each core
makes one call after another. A call takes the time that it takes on one core,
and for each move of a cache line the time of a move. A line moves to one core at
a time, so each line is a queue of its own; all else is not waited for. With
D(i) = moves of line i in each call x time of a move, and T the time of a call:

    R(i, n) = D(i) x (1 + Q(i, n - 1))      how long a call is at line i
    X(n)    = n / (T + sum of R(i, n))      calls per ns of n cores
    Q(i, n) = X(n) x R(i, n)                how many cores are at line i

So X(n) is below n / (T + sum of D(i)) and below 1 / D(i) of each line.
"""
import re
import subprocess
import sys

import pages
from collections import defaultdict

PAGE = "BENCHMARKS.md"
# How long a move takes, in ns: assumed, with a range.
MOVE, SHORT, LONG = 100, 50, 200
SHOWN = 2, 16, 64
MOST_WORDS = 3.0
OURS = "relay-registry"
NEW = "new registration", "new registration, without grace"
ACCESSES = {"load", "store", "swap", "fetch_add", "fetch_sub", "fetch_or", "fetch_and"}
ACCESSES |= {"compare_exchange", "compare_exchange_weak"}


class Counts:
    """What was counted of one operation on so many cores."""

    def __init__(self):
        self.lines = defaultdict(float)
        self.words = defaultdict(float)
        # How many lines move how often in each call.
        self.moves = []
        # Those that move most: share of the calls that write it, moves, code.
        self.busiest = []

    def add(self, kind, first, second, *rest):
        if kind in ("lines", "words"):
            getattr(self, kind)[first] = float(second)
        elif kind == "moves":
            self.moves.append((int(first), float(second)))
        else:
            self.busiest.append((float(first), float(second), *rest))

    def moves_of_a_call(self):
        return sum(lines * moves for lines, moves in self.moves)


def read_counts(path):
    """By cores and operation; an operation is the map and what is called."""
    counts = defaultdict(Counts)
    with open(path) as file:
        for line in file:
            cores, crate, operation, *figures = line.rstrip("\n").split("\t")
            counts[int(cores), (crate, operation)].add(*figures)
    return counts


def read_times(path):
    """By operation, ns on one core and the ratio of two threads; ns of a move."""
    times, move = {}, None
    with open(path) as file:
        for line in file:
            *operation, first, second = line.rstrip("\n").split("\t")
            if operation:
                times[tuple(operation)] = float(first), float(second)
            else:
                move = float(second)
    return times, move


def speed(cores, nanos, moves, move):
    """Of so many cores, over that of one; see above."""
    # Lines that move equally often have equal queues.
    demands = [(lines, of_each * move) for lines, of_each in moves]
    queues = [0.0] * len(demands)
    rate = 1 / nanos
    for n in range(1, cores + 1):
        stays = [demand * (1 + queue) for (_, demand), queue in zip(demands, queues)]
        rate = n / (nanos + sum(lines * stay for (lines, _), stay in zip(demands, stays)))
        queues = [rate * stay for stay in stays]
    return rate * nanos


def places(program, codes):
    """Function and file of each place in the program."""
    # A place is where the recorder returns to, one past the access.
    asked = [hex(int(code, 16) - 1) for code in codes]
    command = ["addr2line", "-Cifa", "-e", program, *asked]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    blocks = re.split(r"^0x[0-9a-f]+\n", said, flags=re.MULTILINE)[1:]
    return {code: place(block.splitlines()) for code, block in zip(codes, blocks)}


def place(lines):
    """The innermost function that says what the access is for."""
    found = [(bare(name), path) for name, path in zip(lines[::2], lines[1::2])]
    said = [(name, path) for name, path in found if "/rustc/" not in path and name not in ACCESSES]
    name, path = next((frame for frame in said if frame[0][0] not in "{_"), (said or found)[0])
    package = re.search(r"index\.crates\.io-[^/]+/(.+?)-[0-9.]+/", path)
    file = re.search(r"([^/]+/)?[^/]+\.rs:[0-9]+", path)
    where = package[1] if package else file[0].split(":")[0] if file else "?"
    return f"`{name}` ({where})", f"{name} at {file[0] if file else path}"


def bare(name):
    """The last part of the name of a function, without types."""
    while (shorter := re.sub(r"<[^<>]*>|\(\)", "", name)) != name:
        name = shorter
    parts = [part for part in name.split("::") if part and not part.startswith("{")]
    return parts[-1] if parts else "{closure}"


def name_of(operation):
    crate, what = operation
    return what if crate == OURS else f"{crate}: {what}"


def check_controls(counts):
    """That the counts are right where they are known."""
    for cores in SHOWN:
        one = counts[cores, ("control", "adding to one counter")]
        each = counts[cores, ("control", "adding to a counter of each call")]
        # At times a core has two turns on end.
        is_moved = 1 - 1 / cores <= one.moves_of_a_call() <= 1
        is_counted = one.words["registry"] == 1 and each.words["relay"] == 1
        if not is_moved or not is_counted or each.moves:
            sys.exit(f"the controls on {cores} cores are not what they must be")


def figure(value):
    return f"{value:.1f}" if value >= 0.05 else "0"


def times_one(ratio):
    """Over one core, with two digits that count."""
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x" if ratio >= 1 else f"{ratio:.2f}x"


def written(counts):
    """The table of what is written, on as many cores as are shown last."""
    head = "written by a call", "registry: lines", "words", "part: lines", "words", "relay: lines", "words"
    rows = []
    for cores, operation in counts:
        if cores == SHOWN[-1]:
            of = counts[cores, operation]
            blocks = [unit[kind] for kind in ("registry", "part", "relay") for unit in (of.lines, of.words)]
            rows.append((name_of(operation), *map(figure, blocks)))
    return pages.table(head, rows)


def scaling(counts, times, move, program):
    """The table of the model."""
    two, some, many = SHOWN
    operations = [operation for cores, operation in counts if cores == many]
    limits = {operation: busiest(counts[many, operation]) for operation in operations}
    named = places(program, sorted({line[0][2] for line in limits.values() if line}))
    is_quiet = found_quiet(counts, times)
    small = (f"{two} cores, {move:.0f} ns", "measured") if is_quiet else ()
    head = (
        *("scaling", "ns", f"moves, {some}", f"{many}", *small),
        *(f"{some} cores, {MOVE} ns", f"{many} cores", "moves most"),
    )
    rows = []
    for operation in operations:
        nanos, measured = times[operation]
        of = {cores: counts[cores, operation] for cores in SHOWN}

        def model(cores, move):
            return speed(cores, nanos, of[cores].moves, move)

        middle = [
            f"{times_one(model(cores, MOVE))} ({model(cores, LONG):.2g} to {model(cores, SHORT):.2g})"
            for cores in (some, many)
        ]
        limit = "".join(f"{named[code][0]}, {moves:.2f}" for _, moves, code in limits[operation])
        moved = [figure(of[cores].moves_of_a_call()) for cores in (some, many)]
        small = (times_one(model(two, move)), times_one(measured)) if is_quiet else ()
        rows.append((name_of(operation), f"{nanos:,.0f}", *moved, *small, *middle, limit))
    return pages.table(head, rows)


def found_quiet(counts, times):
    """Whether two threads were twice as fast as one where no line moves."""
    ratios = [ratio for operation, (_, ratio) in times.items() if not counts[SHOWN[0], operation].moves]
    is_quiet = all(1.8 <= ratio <= 2.2 for ratio in ratios)
    if not is_quiet:
        print("The cores were busy: the rates of two threads say nothing, and are left out.")
    return is_quiet


def busiest(counts):
    """The line that moves most, if it is worth a mention."""
    return [line for line in counts.busiest[:1] if line[1] >= 0.05]


def print_lines(counts, program):
    """Where the lines are that many calls write or move."""
    many = {key: of.busiest for key, of in counts.items() if key[0] == SHOWN[-1]}
    named = places(program, sorted({code for lines in many.values() for *_, code in lines}))
    print("share of the calls that write a line, its moves in each, and where most of these are caused")
    for (_, operation), lines in many.items():
        for share, moves, code in lines:
            if moves >= 0.1:
                print(f"{share:8.3f} {moves:8.3f}  {name_of(operation)}: {named[code][1]}")


def main():
    folder, program, *options = sys.argv[1:]
    counts = read_counts(f"{folder}/counts")
    times, move = read_times(f"{folder}/times")
    check_controls(counts)
    sections = {"written": written(counts), "scaling": scaling(counts, times, move, program)}
    print_lines(counts, program)
    print("", *sections.values(), "", sep="\n\n")
    if "--update" in options:
        pages.update(PAGE, sections)
    words = max(counts[SHOWN[-1], (OURS, new)].words["registry"] for new in NEW)
    print(f"A new registration writes {words:.2f} words of the registry; at most {MOST_WORDS:g} are allowed.")
    sys.exit(words > MOST_WORDS)


main()
