# What bin/demo and bin/test share: where things are kept, and how to get what is missing. Sourced, not run.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Outside the checkout, so that a second clone builds in seconds.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/uro_discord"
mkdir -p "$cache"
# What is compiled on the way is shared by all checkouts; programs are in this one's own folder, or it would run those of whichever
# was built last.
export CARGO_BUILD_BUILD_DIR="${CARGO_BUILD_BUILD_DIR:-${CARGO_TARGET_DIR:-$cache/target}}"
export CARGO_TARGET_DIR="$PWD/target"
export PATH="$HOME/.cargo/bin:$PATH"
# Elixir wants a UTF-8 locale and UTF-8 file names.
export LANG=C.UTF-8 LC_ALL=C.UTF-8 ELIXIR_ERL_OPTIONS="+fnu"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "installing packages needs root: become root, or run: apt-get install $*"
  fi
}

# beside COMMAND…: runs it in the background, one at a time. It ends with the script that began it, as a process group of its own does.
beside() {
  set -m
  "$@" &
  beside=$!
  set +m
  trap '[ -z "${beside:-}" ] || kill -- "-$beside" 2>/dev/null || true' EXIT
}
# joined: waits for that command. Its failure is the script's.
joined() {
  local status=0
  wait "$beside" || status=$?
  beside=
  [ "$status" = 0 ] || die "what ran in the background failed with status $status; its error is above"
}

# need_packages NAME…: those that are missing, by apt.
need_packages() {
  local missing=() name
  command -v dpkg-query >/dev/null || die "this is not Debian: install by your own means: $*"
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 ||
    { tail -n 20 "$cache/apt.log" >&2; die "apt-get could not install ${missing[*]} (the whole log: $cache/apt.log)"; }
}

# need_command NAME PACKAGE…: the packages, unless the command is there, wherever it came from.
need_command() {
  local name="$1"
  shift
  command -v "$name" >/dev/null || need_packages "$@"
}

# Rust, with the components named, as Cargo.toml's rust-version wants it.
need_rust() {
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! command -v cargo >/dev/null; then
    need_packages curl ca-certificates
    say "installing Rust by rustup"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs -o "$cache/rustup-init.sh" &&
      sh "$cache/rustup-init.sh" -y --quiet --profile minimal --component rustfmt,clippy ||
      die "rustup could not be reached. Install Rust $wanted or newer by other means, so that \`cargo --version\` works, and run this again."
  fi
  have=$(cargo --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
    die "this needs Rust $wanted or newer, and cargo is $have: run \`rustup update stable\`"
}

# What building and running takes: Elixir, and a C compiler for zstd and the linker.
need_toolchain() {
  need_command elixir elixir
  need_packages erlang-crypto gcc libc6-dev git
  need_rust
}

# discord.py, discord.js, Authlib, Godot and Chromium, by which discord-sim, the portal and the benchmarks are judged.
need_clients() {
  need_command npm nodejs npm
  python3 -c 'import ensurepip' 2>/dev/null || need_packages python3 python3-venv
  need_command chromium chromium
  need_packages libopus0
  say "installing discord.py, disnake, discord.js and Godot"
  test/clients/install "$cache/clients"
  export URO_DISCORD_PYTHON="$cache/clients/venv/bin/python" URO_DISCORD_NODE_MODULES="$cache/clients/node_modules"
}

# Alliance Auth, which judges discord-sim too, and is what accounts are measured beside.
need_alliance_auth() {
  python3 -c 'import ensurepip' 2>/dev/null || need_packages python3 python3-venv
  # The program is in both packages; that of the server would start one.
  command -v redis-server >/dev/null || need_command redis-check-rdb redis-tools
  bench/accounts/alliance_auth/install "$cache/alliance-auth" && export URO_DISCORD_ALLIANCE_AUTH="$cache/alliance-auth"
}
