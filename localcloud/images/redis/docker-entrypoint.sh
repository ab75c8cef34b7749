#!/bin/sh
# As in the official image: `-option` or `file.conf` alone mean redis-server, and root gives its rights away.
set -eu

case "${1:-}" in
-* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
	find . ! -user redis -exec chown redis '{}' +
	exec setpriv --reuid=redis --regid=redis --init-groups "$0" "$@"
fi
# The data of a container is nobody else's.
if [ "$(umask)" = 0022 ]; then
	umask 0077
fi
exec "$@"
