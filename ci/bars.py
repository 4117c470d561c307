"""Judges what the benches measured, for ci/bars.sh.

    bars.py RESULTS HANGING_DHT [--write]

RESULTS has lines "GROUP<tab>RELAYS<tab>NAME<tab>VALUE<tab>RATIO", the ratio
being ours over that contender's; HANGING_DHT is the output of that bench. With
--write the tables go to BENCHMARKS.md, too.
"""
import platform
import re
import subprocess
import sys

import pages

PAGE = "BENCHMARKS.md"
OURS = "relay-registry"
BARE = "bare HashMap, one thread only"
SWAP = "load of an arc_swap"
SORT = "clone-filter-sort under a RwLock"
SCAN = "min_by_key under a RwLock"
SIZES = 1_000, 100_000, 1_000_000
INDEPENDENT = "choosing: measured, load 0.6"
EQUILIBRIUM = "choosing: measured, equilibrium at 0.6"
# States in which a find has an answer, and in which it has none, or no more than
# a last resort. The names are those of benches/peers/src/states.rs.
WITH_AN_ANSWER = (
    "idle",
    "independent 0.6",
    "equilibrium 0.3",
    "equilibrium 0.6",
    "equilibrium 0.85",
    "1 % free",
    "full but one",
)
WITHOUT = "all full", "all failing", "last resorts", "all too far", "all draining", "overrun"
PRICED = 10, 64, 1_000, 100_000, 1_000_000
# The most that the median, the 99th percentile and the worst regret may be.
REGRET = {"p50": 1.01, "p99": 1.04, "worst": 1.07}
REGRET_OF_PAIRS = {"p50": 1.02, "p99": 1.05, "worst": 1.10}


def read(path):
    """Value and ratio, by group, relays and name."""
    figures = {}
    with open(path) as file:
        for line in file:
            group, relays, name, value, ratio = line.rstrip("\n").split("\t")
            figures[group, int(relays), name] = float(value), float(ratio)
    return figures


class Bars:
    """Rows: what, at how many relays, the bar, the figure, and how it is."""

    def __init__(self, figures):
        self.figures = figures
        self.rows = []

    def at_most(self, what, relays, bar, figure, unit="x"):
        self.add(what, relays, f"<= {bar:g}{unit}", figure, figure <= bar, unit)

    def at_least(self, what, relays, bar, figure, unit="x"):
        self.add(what, relays, f">= {bar:g}{unit}", figure, figure >= bar, unit)

    def recorded(self, what, relays, figure, unit):
        self.add(what, relays, "", figure, None, unit)

    def add(self, what, relays, bar, figure, is_met, unit):
        verdict = {True: "met", False: "missed", None: "recorded"}[is_met]
        digits = 0 if abs(figure) >= 100 else 2
        self.rows.append((what, f"{relays:,}", bar, f"{figure:,.{digits}f}{unit}", verdict))

    def value(self, *key):
        return self.figures[key][0]

    def ratio(self, *key):
        return self.figures[key][1]


def judge(figures, hanging):
    bars = Bars(figures)
    looking_up(bars)
    choosing(bars)
    pricing(bars)
    growing(bars)
    pairing(bars)
    regretting(bars)
    changing(bars)
    coming_and_going(bars)
    bars.at_most("p99.9 of a find beside an engine that hangs", 1_000, 2, hanging)
    return bars.rows


def looking_up(bars):
    for relays in SIZES:
        def hit(name):
            return bars.ratio("hit", relays, name)

        bars.at_most("`is_relay` hit / papaya `get`", relays, 1.0, hit("papaya, no deadline"))
        bar = 1.1 if relays == 1_000 else 1.0
        for peer in "papaya", "dashmap":
            bars.at_most(f"`is_relay` hit / {peer} with deadline read", relays, bar, hit(peer))
        bar = 1.8 if relays == 1_000 else 1.2
        bars.at_most("`is_relay` hit / bare `HashMap` with deadline read", relays, bar, hit(BARE))
    for relays in SIZES:
        bars.at_most("`is_relay` miss / bare `HashMap`", relays, 1.6, bars.ratio("miss", relays, BARE))
    for relays in SIZES:
        for peer, bar in ("papaya", 0.7), ("dashmap", 1.0):
            figure = bars.ratio("hit beside a writer", relays, peer)
            bars.at_most(f"`is_relay` hit beside a writer / {peer}", relays, bar, figure)
    for relays in SIZES:
        figure = bars.value("two threads", relays, OURS)
        bars.at_least("`is_relay`, two threads / one", relays, 1.8, figure)
    for control in "arithmetic alone", "eight sums at once":
        figure = bars.value("two threads", 1_000, control)
        bars.recorded(f"{control}, sharing nothing, two threads / one", 1_000, figure, "x")
    for what, name, bar in ("`find_relay`", "find", 1.8), ("`reserve` + drop", "reserve + drop", 1.5):
        figure = bars.value("two threads", 1_000, f"{name}, equilibrium")
        bars.at_least(f"{what} equilibrium, two threads / one", 1_000, bar, figure)


def choosing(bars):
    for world, group, bar in ("independent", INDEPENDENT, 1_500), ("equilibrium", EQUILIBRIUM, 400):
        figure = 1 / bars.ratio(group, 1_000, SORT)
        bars.at_least(f"clone-filter-sort / `find_relay` {world}", 1_000, bar, figure)
    figure = 1 / bars.ratio(INDEPENDENT, 1_000, SCAN)
    bars.at_least("`min_by_key` / `find_relay` independent", 1_000, 50, figure)


def pricing(bars):
    """What a find costs in every state, and a reservation beside it."""
    for state in WITH_AN_ANSWER:
        for relays, bar in (10, 9), (64, 9), (1_000, 12), (1_000_000, 30):
            figure = bars.ratio(f"price: {state}", relays, SWAP)
            bars.at_most(f"`find_relay`, {state} / load of an `arc_swap`", relays, bar, figure)
    for state in WITHOUT:
        for relays in PRICED:
            figure = bars.ratio(f"price: {state}", relays, "idle find")
            bars.at_most(f"`find_relay`, {state} / an idle one", relays, 2, figure)
    figure = 1 / bars.ratio("price: equilibrium 0.6", 1_000, "reserve + drop")
    bars.at_most("`reserve` + drop / `find_relay`, equilibrium 0.6", 1_000, 2.5, figure)


def growing(bars):
    few, many = SIZES[0], SIZES[-1]
    for state in WITH_AN_ANSWER + WITHOUT:
        # Both over the swap, so that what slowed one of them down slowed its
        # swap down, too.
        at_few, at_many = (bars.ratio(f"price: {state}", relays, SWAP) for relays in (few, many))
        bars.at_most(f"`find_relay`, {state} / at 1,000", many, 3, at_many / at_few)
    for world in "unmeasured", "equal":
        figure = bars.ratio(f"growth: {world}", many, "1,000 relays")
        bars.at_most(f"`find_relay`, {world} / at 1,000", many, 3, figure)
    for load in "0.6", "0.85":
        ours, exact = (bars.value("full", 1_000, f"{who} at {load}") for who in ("ours", "exact"))
        what = f"relays >= 95 % full at load {load} / by the exact choice"
        bars.at_most(what, 1_000, 2, ours / max(exact, 0.001))


def pairing(bars):
    """What a find for a pair costs."""
    for relays, idle, loaded in (1_000, 0.6, 1.3), (10_000, 0.2, 0.8):
        for state, bar in ("idle", idle), ("equilibrium", loaded), ("hot spot", loaded):
            figure = bars.ratio(f"pairs: {state}", relays, "vectorised scan of all relays")
            bars.at_most(f"a find for a pair, {state} / a scan of all", relays, bar, figure)
    for relays in 50, 1_000, 10_000:
        figure = bars.ratio("pairs: all full", relays, "plain idle find")
        bars.at_most("a find for a pair, all full / a plain idle one", relays, 2, figure)


def regretting(bars):
    """The worst figure of any state and size."""
    for what, prefix, most in (
        ("finds", "regret: ", REGRET),
        ("finds for pairs", "regret of pairs ", REGRET_OF_PAIRS),
    ):
        for name, bar in most.items():
            found = (key for key in bars.figures if key[0].startswith(prefix) and key[2] == name)
            worst = max(found, key=lambda key: bars.value(*key))
            state = worst[0].removeprefix(prefix)
            bars.at_most(f"regret of {what}, {name}: {state}", worst[1], bar, bars.value(*worst))


def coming_and_going(bars):
    """Registrations with departures, beside inserts with removes."""
    for kind in "returning", "new":
        group, pairs = f"churn, {kind}", f"`register` + `unregister` of {kind} relays"
        for relays in SIZES:
            one = bars.ratio(group, relays, "papaya, one thread")
            two = bars.ratio(group, relays, "papaya, two threads")
            scaling = bars.value(group, relays, f"{OURS}, two over one")
            if relays != 100_000:
                bars.recorded(f"{pairs} / papaya", relays, one, "x")
                continue
            bars.at_least(f"{pairs} / papaya", relays, 0.6, one)
            bars.at_least(f"{pairs}, two threads / papaya's", relays, 1.0, two)
            bars.at_least(f"{pairs}, two threads / one", relays, 1.4, scaling)


def changing(bars):
    for relays in SIZES:
        figure = bars.ratio("renewal", relays, "papaya, insert of a present key")
        bars.at_most("renewal / papaya `insert` of a present key", relays, 0.6, figure)
    group = "registration with a find"
    bars.recorded("registration with a find", 100_000, bars.value(group, 100_000, "ns, amortised"), " ns")
    worst = bars.value(group, 100_000, "worst ms, of processor time")
    bars.at_most("registration with a find, the worst", 100_000, 1, worst, " ms")
    many = SIZES[-1]
    worst = bars.value("reclamation", many, "worst us of a find, of processor time")
    bars.at_most("find after as many left beside a stalled thread, the worst", many, 20, worst, " us")
    worst = bars.value("reclamation", many, "worst us of a registration, of processor time")
    bars.recorded("registration after that, the worst", many, worst, " us")
    figure = bars.ratio("bulk load", many, "papaya, no deadline")
    bars.at_most("bulk load / papaya's inserts", many, 3, figure)
    for how in "all at once", "with rebuilds":
        bars.recorded(f"expiry, {how}", many, bars.value("expiry", many, f"ns each, {how}"), " ns")
    for what, relays, is_gated in ("expiry", many, True), ("bulk registration", 100_000, False), (
        "sorting anew", many, False
    ):
        figure = bars.value(f"tail: {what}", relays, "p99.9, disturbed over quiet")
        what = f"p99.9 of a find during {what} / quiet"
        bars.at_most(what, relays, 3, figure) if is_gated else bars.recorded(what, relays, figure, "x")
    figure = bars.value("memory", many, "resident")
    bars.at_most("memory per relay, resident", many, 256, figure, " bytes")
    figure = bars.value("memory", many, "allocated")
    bars.recorded("memory per relay, asked of the allocator", many, figure, " bytes")


def of_hanging(path):
    """The last column of finds beside the engine that hangs."""
    with open(path) as file:
        found = re.search(r"^finds +an engine that hangs.* ([0-9.]+)$", file.read(), re.MULTILINE)
    return float(found.group(1))


def of_group(figures, group):
    """What is measured in a group, by size, in ns."""
    sizes = sorted({relays for of, relays, _ in figures if of == group})
    names = list(dict.fromkeys(name for of, _, name in figures if of == group))
    rows = []
    for name in names:
        cells = []
        for relays in sizes:
            value = figures.get((group, relays, name))
            cells.append("" if value is None else f"{value[0]:,.1f}")
        rows.append((name, *cells))
    return pages.table((f"{group}: ns", *(f"{relays:,}" for relays in sizes)), rows)


def machine():
    # Clouds call processors of several generations by one name.
    with open("/proc/cpuinfo") as file:
        said = dict(re.findall(r"^([^:\n]*\S)\s*: (.*)$", file.read(), re.MULTILINE))
    with open("benches/peers/Cargo.lock") as file:
        versions = dict(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', file.read()))
    peers = "papaya dashmap scc flurry moka tower pingora-load-balancing arc-swap ahash".split()
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    cores = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    name = said.get("model name", platform.machine())
    if "cpu family" in said:
        name += f" (family {said['cpu family']}, model {said['model']})"
    listed = ", ".join(f"{peer} {versions[peer]}" for peer in peers if peer in versions)
    return f"{name}, {cores} cores, {rustc.stdout.strip()}; {listed}."


def write(figures, rows):
    groups = dict.fromkeys(group for group, _, _ in figures)
    kinds = "hit", "miss", "renewal", "price", "pairs", "choosing", "bulk", "tail"
    shown = [group for group in groups if group.startswith(kinds)]
    sections = {
        "machine": machine(),
        "bars": pages.table(("what", "relays", "bar", "figure", ""), rows),
        "figures": "\n\n".join(of_group(figures, group) for group in shown),
    }
    pages.update(PAGE, sections)


def main():
    results, hanging, *options = sys.argv[1:]
    figures = read(results)
    rows = judge(figures, of_hanging(hanging))
    for what, relays, bar, figure, verdict in rows:
        print(f"{what:<64} {relays:>9} {bar:>12} {figure:>14}  {verdict}")
    if "--write" in options:
        write(figures, rows)
    missed = sum(verdict == "missed" for *_, verdict in rows)
    print(f"{len(rows)} bars, {missed} missed")
    sys.exit(missed > 0)


main()
