#!/usr/bin/env bash
# Proves that the crate keeps to the rust-version it declares: the standard
# library by clippy, the dependencies by what they declare themselves, and all
# of it, tests and examples included, by a build with that compiler. No
# arguments.
source "$(dirname "$0")/common.sh"
need_openssl
need python3 python3

run cargo clippy --lib --all-features -- -D clippy::incompatible_msrv
run cargo clippy --lib --no-default-features -- -D clippy::incompatible_msrv

metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
run cargo metadata --format-version 1 --all-features --locked >"$metadata"
version=$(python3 - "$metadata" <<'PYTHON'
"""Follows normal and build dependencies from the root; prints its version."""
import json
import sys

with open(sys.argv[1]) as file:
    metadata = json.load(file)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}


def number(version):
    return tuple(int(part) for part in (version.split("-")[0] + ".0.0").split(".")[:3])


# What only a cfg for loom switches on is for the project's own models.
def is_needed(kind):
    return kind["kind"] != "dev" and "_loom" not in (kind["target"] or "")


root = metadata["resolve"]["root"]
ours = packages[root]["rust_version"]
seen, todo, newer = {root}, [root], []
while todo:
    for dependency in nodes[todo.pop()]["deps"]:
        package = packages[dependency["pkg"]]
        if package["id"] in seen or not any(map(is_needed, dependency["dep_kinds"])):
            continue
        seen.add(package["id"])
        todo.append(package["id"])
        declared = package["rust_version"]
        if declared and number(declared) > number(ours):
            newer.append(f'{package["name"]} {package["version"]} needs Rust {declared}')
print(f"{len(seen) - 1} dependencies against Rust {ours}", file=sys.stderr)
if newer:
    sys.exit("\n".join(newer))
print(ours)
PYTHON
)

# A build with that very version: from rustup if it is installed, else with the
# compiler of Debian's package rustc-web, unpacked beside the build.
if cargo "+$version" --version >/dev/null 2>&1; then
    run cargo "+$version" check --all-targets --all-features --locked --target-dir "$target/msrv"
    run cargo "+$version" check --no-default-features --locked --target-dir "$target/msrv"
    exit
fi
debian=$target/msrv-debian
if [[ ! -x $debian/rustc ]]; then
    mkdir -p "$debian/packages"
    apt-get update -qq
    full=$(apt-cache madison rustc-web | awk -v v="$version" '$3 ~ "^"v"[.]" {print $3; exit}')
    [[ -n $full ]] || fail "Rust $version is neither with rustup nor with Debian"
    (
        cd "$debian/packages"
        run apt-get download -qq "rustc-web=$full" "libstd-rust-web-dev=$full" \
            "libstd-rust-web-$version=$full" libllvm19
        for package in *.deb; do dpkg -x "$package" ..; done
    )
    cat >"$debian/rustc" <<WRAPPER
#!/usr/bin/env bash
export LD_LIBRARY_PATH="$debian/usr/lib/x86_64-linux-gnu:$debian/usr/lib/llvm-19/lib"
exec "$debian/usr/bin/rustc" "\$@"
WRAPPER
    chmod +x "$debian/rustc"
fi
run "$debian/rustc" --version
run env RUSTC="$debian/rustc" cargo check --all-targets --all-features --locked \
    --target-dir "$target/msrv"
run env RUSTC="$debian/rustc" cargo check --no-default-features --locked \
    --target-dir "$target/msrv"
