#!/bin/sh
# Opens the embedded example; on a machine without a display, under Xvfb and into a picture.
set -eu

command="$1"
picture=demo.png
if [ "$(uname -s)" != Linux ] || [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ]; then
    exec "$command" demo
fi
echo "No display: the example opens on a virtual screen."
xvfb-run -a -s "-screen 0 1600x1000x24" "$command" demo --screenshot "$picture"
echo "Screenshot: $(pwd)/$picture"
