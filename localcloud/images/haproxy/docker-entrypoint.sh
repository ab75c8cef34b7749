#!/bin/sh
# As in the official image: `-option` alone means haproxy, which runs in the foreground under a master process.
set -eu

case "${1:-}" in
-*) set -- haproxy "$@" ;;
esac
if [ "${1:-}" = haproxy ]; then
	shift
	set -- haproxy -W -db "$@"
fi
exec "$@"
