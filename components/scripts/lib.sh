# shellcheck shell=bash disable=SC2034
# Helpers shared by the scripts that run on a droplet; put before them (so WRITTEN is read there), never run alone.
set -euo pipefail
umask 022

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

WRITTEN=no

# put PATH MODE [OWNER]: make PATH hold standard input. Nothing is touched when it does already, so that a second run
# leaves no trace; WRITTEN says which it was. The new file appears at once and whole.
put() {
  local path=$1 mode=$2 owner=${3:-root} new
  new=$(mktemp /run/basecommerce.XXXXXX)
  cat >"$new"
  if [[ -f $path ]] && cmp --silent "$new" "$path"; then
    WRITTEN=no
  else
    install --mode="$mode" --owner="$owner" --group="$owner" "$new" "$path.new"
    mv --force "$path.new" "$path"
    WRITTEN=yes
  fi
  rm --force "$new"
}

# wait_until SECONDS WHAT COMMAND...: fail with WHAT when COMMAND has not succeeded within SECONDS.
wait_until() {
  local limit=$1 what=$2 deadline=$((SECONDS + $1))
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || fail "$what: not within $limit s"
    sleep 1
  done
}
