#!/bin/sh
# Brings this host back behind its load balancer. After a boot the file is gone anyway, since /run is empty; when the reboot was
# called off it is not.
#
#     post_boot_hook:
#       command: [/usr/local/sbin/load-balancer-undrain.sh]
set -eu

rm -f "${FLAG:-/run/maintenance}"
