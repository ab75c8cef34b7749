# shellcheck shell=bash
# What a droplet does for itself while nobody looks: security updates, clock, pruning, the watchdog's timer.
# Needs lib.sh. Variable: PACKAGES, of which a machine that was born earlier may lack some.

UNITS_DIR=/etc/systemd/system
SCRIPTS_DIR=/opt/basecommerce/scripts

in_container() { systemd-detect-virt --quiet --container; }

UNITS_PENDING=/run/basecommerce-units
UNITS=() # what starts at boot

# unit NAME [boot]: write a unit from standard input; `boot`: it starts at boot from now on. Both are made known to
# systemd by load_units, once for all units: each reading of them takes a quarter of a second.
unit() {
  put "$UNITS_DIR/$1" 0644
  # The mark makes a run that was cut off before load_units catch up.
  if [[ $WRITTEN == yes ]]; then touch "$UNITS_PENDING"; fi
  if [[ ${2:-} == boot ]]; then UNITS+=("$1"); fi
}

load_units() {
  local name missing=()
  for name in "${UNITS[@]}"; do
    # Asked first, since enabling writes its links anew.
    systemctl is-enabled --quiet "$name" || missing+=("$name")
  done
  if ((${#missing[@]})); then
    systemctl enable --quiet "${missing[@]}" # reads all units, too
  elif [[ -e $UNITS_PENDING ]]; then
    systemctl daemon-reload
  fi
  rm --force "$UNITS_PENDING"
}

install_packages() {
  local package state missing=()
  for package in $PACKAGES; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || state=absent
    [[ $state == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o DPkg::Lock::Timeout=300 update
  apt-get -qq -o DPkg::Lock::Timeout=300 --yes --no-install-recommends install "${missing[@]}" >/dev/null
}

# Security updates only, and never of what runs the containers: that is upgraded when somebody looks.
# No automatic reboot: each droplet is the only one of its kind, so a reboot is a gap that people choose.
install_upgrades() {
  put /etc/apt/apt.conf.d/52basecommerce-upgrades 0644 <<'APT'
// Written by `basec up`; edits are lost.
#clear Unattended-Upgrade::Origins-Pattern;
Unattended-Upgrade::Origins-Pattern { "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"; };
Unattended-Upgrade::Package-Blacklist { "^docker"; "^containerd"; "^runc$"; };
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::Remove-Unused-Dependencies "true";
APT
  put /etc/apt/apt.conf.d/20auto-upgrades 0644 <<'APT'
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT
}

install_journal_limit() {
  install --directory --mode=0755 /etc/systemd/journald.conf.d
  put /etc/systemd/journald.conf.d/basecommerce.conf 0644 <<'CONF'
[Journal]
SystemMaxUse=200M
MaxRetentionSec=1month
CONF
  if [[ $WRITTEN == yes ]]; then systemctl restart systemd-journald.service; fi
}

# A container has the clock of its machine and may not set it.
start_time_sync() {
  in_container && return
  systemctl is-enabled --quiet systemd-timesyncd.service || systemctl enable --quiet systemd-timesyncd.service
  systemctl is-active --quiet systemd-timesyncd.service || systemctl start systemd-timesyncd.service
}

# timer NAME DESCRIPTION COMMAND SCHEDULE...: a oneshot service and the timer that starts it.
timer() {
  local name=$1 description=$2 command=$3
  shift 3
  unit "basecommerce-$name.service" <<UNIT
[Unit]
Description=$description
After=docker.service

[Service]
Type=oneshot
ExecStart=$command
UNIT
  unit "basecommerce-$name.timer" boot < <(
    printf '[Unit]\nDescription=%s\n\n[Timer]\n' "$description"
    printf '%s\n' "$@"
    printf '\n[Install]\nWantedBy=timers.target\n'
  )
}

# Images of releases that are no longer kept are removed by release.py; what is left over are layers without a name,
# and one-off containers (migrate) of runs that were killed. Nothing else is touched: no volume, no stopped service.
install_prune() {
  put "$SCRIPTS_DIR/prune.sh" 0755 <<'PRUNE'
#!/bin/sh
set -u
failed=0
docker container prune --force --filter label=com.docker.compose.oneoff=True --filter until=24h || failed=$?
docker image prune --force --filter dangling=true --filter until=168h || failed=$?
exit "$failed"
PRUNE
  timer prune 'Remove what no release needs' "$SCRIPTS_DIR/prune.sh" \
    OnCalendar=weekly RandomizedDelaySec=1h Persistent=true
}

# Docker restarts what died, not what is unhealthy (https://github.com/moby/moby/issues/28400).
install_watchdog() {
  timer watchdog 'Restart containers that stay unhealthy' \
    "/bin/sh -c '[ ! -e $SCRIPTS_DIR/watchdog.py ] || exec $SCRIPTS_DIR/watchdog.py'" \
    OnBootSec=2min OnUnitActiveSec=20s AccuracySec=5s
}

install_upkeep() {
  install --directory --mode=0755 "$SCRIPTS_DIR"
  install_packages
  install_upgrades
  install_journal_limit
  start_time_sync
  install_prune
  install_watchdog
}
