#!/usr/bin/env bash
# Pulls the images named by the arguments that are not here yet. Run by root; docker says what is wrong with one.
set -euo pipefail
for image in "$@"; do
  docker image inspect --format '{{.Id}}' "$image" >/dev/null 2>&1 || timeout 900 docker pull --quiet "$image"
done
