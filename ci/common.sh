# Sourced by the scripts beside it: goes to the root of the repository, stops
# at the first failure, and shows each command before it runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where builds with flags of their own go, so that they do not undo each other.
target=${CARGO_TARGET_DIR:-$PWD/target}

run() {
    printf '+ %s\n' "$*" >&2
    "$@"
}

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Installs a Debian package unless the command it brings is there.
need() {
    local command=$1 package=$2
    command -v "$command" >/dev/null || install_package "$package"
}

# Installs what the feature `redis-tls` is built with.
need_openssl() {
    need pkg-config pkg-config
    pkg-config --exists openssl || install_package libssl-dev
}

install_package() {
    run apt-get update -qq
    run env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$1"
}
