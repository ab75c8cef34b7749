#!/usr/bin/env bash
# Removes the SSH host key that user data brought from every place where cloud-init keeps a copy.
# The metadata service hands the same user data out at each boot, so this runs after each boot, too.
set -euo pipefail

MARK='BEGIN OPENSSH PRIVATE KEY'
# The same, as base64 shows it when the key is the first thing encoded.
MARK_BASE64='LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZ'
PLACES=()
for place in "${CLOUD_DIR:-/var/lib/cloud}" "${RUN_DIR:-/run/cloud-init}"; do
  if [[ -d $place ]]; then PLACES+=("$place"); fi
done

holders() {
  ((${#PLACES[@]})) || return 0
  # grep answers 1 when nothing is found, which is what we want to see.
  grep --recursive --text --files-with-matches --null -e "$MARK" -e "$MARK_BASE64" -- "${PLACES[@]}" || [[ $? -eq 1 ]]
}

mapfile -d '' -t found < <(holders)
for file in "${found[@]}"; do
  case $file in
    */seed/*)
      # A seed on disk is the data source itself: cloud-init wants it at the next boot, so only the key is cut out.
      sed --in-place "/$MARK/,/END OPENSSH PRIVATE KEY/d; /$MARK_BASE64/d" "$file"
      ;;
    *)
      # Copies; cloud-init makes what it needs of them again at the next boot.
      rm --force -- "$file"
      ;;
  esac
done

mapfile -d '' -t found < <(holders)
if ((${#found[@]})); then
  printf 'error: still holds a private key: %s\n' "${found[@]}" >&2
  exit 1
fi
