#!/bin/sh
# Lets keepalived here take its address again. After a boot the file is gone anyway, since /run is empty; when the reboot was called
# off it is not.
set -eu

rm -f "${FLAG:-/run/maintenance}"
