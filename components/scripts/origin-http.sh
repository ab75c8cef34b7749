# shellcheck shell=bash
# Opens or closes plain HTTP on the edge. nginx looks for the file at each request, so nothing has to be reloaded, and
# without the file port 80 is closed: on a new machine, and after whatever may happen to this directory.
# Variables: PLAIN_HTTP (open|closed), WAIT_SECONDS. A path can be set for tests: HTTP_DIR

HTTP_DIR=${HTTP_DIR:-/opt/basecommerce/edge/http}

install --directory --mode=0755 "$HTTP_DIR"
if [[ $PLAIN_HTTP == open ]]; then
  put "$HTTP_DIR/open" 0644 <<<'Port 80 serves the shop while this file is here; written by basec up.'
elif [[ -e $HTTP_DIR/open ]]; then
  # Some of Cloudflare's machines may not know yet that they are to speak https; they would be sent round in a circle.
  sleep "$WAIT_SECONDS"
  rm --force "$HTTP_DIR/open"
fi
say "plain HTTP is $PLAIN_HTTP"
