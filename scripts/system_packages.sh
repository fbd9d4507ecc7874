#!/bin/sh
# Makes sure that the machine has what pip cannot bring: Python with venv, Qt's and OpenGL's libraries, and (with
# "xvfb" as an argument) a virtual screen. As root on Debian and its relatives what is missing is installed; otherwise
# it is named, with the command to install it. Nothing is installed, and apt is not called, where nothing is missing.
set -eu

PYTHON="${PYTHON:-python3}"
[ "$(uname -s)" = Linux ] || exit 0  # Qt's wheels bring all they need on macOS and Windows

missing=""
need() { missing="$missing $1"; }

# Libraries are looked up by the name the loader uses: package names differ between releases.
libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
need_library() {
    case "$libraries" in
    *"$1 "*) ;;
    *) need "$2" ;;
    esac
}
need_command() { command -v "$1" >/dev/null 2>&1 || need "$2"; }

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    need python3
    need python3-venv
elif ! "$PYTHON" -c "import ensurepip, venv" >/dev/null 2>&1; then
    need python3-venv
fi
if [ -n "$libraries" ]; then
    need_library libEGL.so.1 libegl1
    need_library libdbus-1.so.3 libdbus-1-3
    need_library libfontconfig.so.1 libfontconfig1
    need_library libglib-2.0.so.0 libglib2.0-0
    need_library libxkbcommon-x11.so.0 libxkbcommon-x11-0
    need_library libxcb-cursor.so.0 libxcb-cursor0
    need_library libxcb-icccm.so.4 libxcb-icccm4
    need_library libxcb-keysyms.so.1 libxcb-keysyms1
    need_library libxcb-shape.so.0 libxcb-shape0
fi
if [ "${1:-}" = xvfb ]; then
    need_command Xvfb xvfb
    need_command xauth xauth
fi

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "This machine lacks what Debian calls:$missing" >&2
    echo "Trying without; if Python, Qt or Xvfb does not start, install them with the system's package manager." >&2
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "System packages are missing:$missing" >&2
    echo "Install them and call make again:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing system packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086  # one word per package
apt-get install -y -q --no-install-recommends $missing
