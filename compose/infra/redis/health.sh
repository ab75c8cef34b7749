#!/bin/sh
# Health of Redis: it answers an authenticated PING. The password goes by the environment of this one process,
# so that it is neither in an argument list nor in what `docker inspect` shows.
set -eu
REDISCLI_AUTH="$(sed -n 's/^requirepass "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /run/secrets/redis_auth.conf)"
export REDISCLI_AUTH
test "$(redis-cli -h 127.0.0.1 ping)" = PONG
