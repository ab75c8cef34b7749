# shellcheck shell=bash
# Brings a booted droplet to the state that the tiers need: keys, sshd, swap, data volume.
# After lib.sh and upkeep.sh. Variables: LOGIN_USER AUTHORIZED_KEY SSHD_PEERS_FILE SSHD_PEERS PACKAGES TIER DROPLET_SIZE SWAP_MIB SCRUB_SCRIPT
#            METRICS_AGENT_USER METADATA_UNIT_NAME METADATA_UNIT
#            VOLUME_DEVICE VOLUME_SIZE_GIB VOLUME_LABEL VOLUME_MOUNT (all four empty: no volume)

wait_for_cloud_init() {
  # `cloud-init status --wait` asks systemd over this socket and gives up at once while it is missing.
  wait_until 120 "the system bus socket /run/dbus/system_bus_socket" test -S /run/dbus/system_bus_socket
  local status=0
  timeout 900 cloud-init status --wait >/dev/null 2>&1 || status=$?
  case $status in
    0) ;;
    2) say "cloud-init finished with warnings" ;; # its code for recoverable errors; what we need is checked below
    124) fail "cloud-init: not done within 900 s" ;;
    *)
      cloud-init status --long >&2 || say "cloud-init gives no status" >&2
      fail "cloud-init ended with status $status"
      ;;
  esac
  local tool
  for tool in docker ufw python3; do
    command -v "$tool" >/dev/null || fail "cloud-init left the machine without $tool"
  done
  wait_until 120 "the Docker engine" docker_answers
}

docker_answers() { docker version >/dev/null 2>&1; }

install_authorized_key() {
  local home
  home=$(getent passwd "$LOGIN_USER" | cut --delimiter=: --fields=6)
  [[ -n $home ]] || fail "no user $LOGIN_USER"
  install --directory --mode=0700 --owner="$LOGIN_USER" --group="$LOGIN_USER" "$home/.ssh"
  put "$home/.ssh/authorized_keys" 0600 "$LOGIN_USER" <<<"$AUTHORIZED_KEY"
}

# Takes over the file of the first boot, which knew no peer.
configure_sshd() {
  local pending=/run/basecommerce-sshd-reload old
  old=$(mktemp /run/basecommerce.XXXXXX)
  cat "$SSHD_PEERS_FILE" >"$old"
  put "$SSHD_PEERS_FILE" 0644 <<<"$SSHD_PEERS"
  # The mark makes a run that was cut off between writing and reloading catch up.
  if [[ $WRITTEN == yes ]]; then touch "$pending"; fi
  if [[ -e $pending ]]; then
    if ! sshd -t; then
      put "$SSHD_PEERS_FILE" 0644 <"$old"
      fail "sshd refuses the new $SSHD_PEERS_FILE; the earlier one is back"
    fi
    systemctl reload ssh.service
    rm --force "$pending"
  fi
  rm --force "$old"
}

install_scrubber() {
  install --directory --mode=0755 "$SCRIPTS_DIR"
  put "$SCRIPTS_DIR/scrub-user-data.sh" 0755 <<<"$SCRUB_SCRIPT"
  unit basecommerce-scrub.service boot <<UNIT
[Unit]
Description=Remove the SSH host key from cloud-init's copies of the user data
After=cloud-final.service

[Service]
Type=oneshot
ExecStart=$SCRIPTS_DIR/scrub-user-data.sh

[Install]
WantedBy=cloud-init.target
UNIT
  "$SCRIPTS_DIR/scrub-user-data.sh"
}

# Machines that were born before DigitalOcean's metrics agent was let out; on others there is nothing to do.
let_metrics_agent_out() {
  getent passwd "$METRICS_AGENT_USER" >/dev/null ||
    useradd --system --no-create-home --shell /bin/false "$METRICS_AGENT_USER"
  unit "$METADATA_UNIT_NAME" boot <<<"$METADATA_UNIT"
  local rule=(OUTPUT -d 169.254.169.254/32 -m owner --uid-owner "$METRICS_AGENT_USER" -j ACCEPT)
  if iptables -w -t raw -C "${rule[@]}" 2>/dev/null; then return 0; fi
  # Not by a restart of the unit: the address would be open to all for a moment.
  iptables -w -t raw -I "${rule[@]}"
  say "the metrics agent is let out to the metadata address"
  # After many failures it waits for up to an hour before it tries again.
  if systemctl cat do-agent.service >/dev/null 2>&1; then systemctl restart do-agent.service; fi
}

install_swap() {
  ((SWAP_MIB > 0)) || return 0
  # swapon is refused inside a container: there the condition skips the unit instead of failing it.
  unit basecommerce-swap.service boot <<UNIT
[Unit]
Description=Swap of $SWAP_MIB MiB in /swapfile
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecCondition=/bin/sh -c '! systemd-detect-virt --quiet --container'
ExecStart=/bin/sh -c 'umask 077; [ -e /swapfile ] || { fallocate -l ${SWAP_MIB}M /swapfile.new && mkswap -q /swapfile.new && mv /swapfile.new /swapfile; }'
ExecStart=/sbin/swapon /swapfile
ExecStop=/sbin/swapoff /swapfile

[Install]
WantedBy=multi-user.target
UNIT
}

start_swap() {
  ((SWAP_MIB > 0)) || return 0
  in_container || systemctl start basecommerce-swap.service
}

# probe FIELD: what blkid finds on the device itself (no cache); empty when nothing.
probe() {
  local status=0
  blkid --probe --output value --match-tag "$1" "$VOLUME_DEVICE" || status=$?
  # 2: nothing found. Anything else must not be mistaken for a blank volume.
  ((status == 0 || status == 2)) || fail "blkid cannot read $VOLUME_DEVICE (status $status)"
}

make_file_system() {
  local kind label
  kind=$(probe TYPE)
  if [[ -z $kind ]]; then
    # blkid answers "nothing" for an unreadable device and for a partition table, too: format zeros only.
    cmp --silent --bytes=1048576 "$VOLUME_DEVICE" /dev/zero ||
      fail "$VOLUME_DEVICE holds no file system but is not blank; look at it by hand, it is not formatted over"
    say "formatting the blank volume $VOLUME_DEVICE"
    mkfs.ext4 -q -m 1 -L "$VOLUME_LABEL" "$VOLUME_DEVICE"
    return
  fi
  [[ $kind == ext4 ]] || fail "$VOLUME_DEVICE holds $kind, wanted ext4; it is not formatted over"
  label=$(probe LABEL)
  if [[ -z $label ]]; then
    e2label "$VOLUME_DEVICE" "$VOLUME_LABEL"
  elif [[ $label != "$VOLUME_LABEL" ]]; then
    fail "$VOLUME_DEVICE has the label $label, wanted $VOLUME_LABEL: is this another machine's volume?"
  fi
}

TIER_PENDING=/run/basecommerce-tier-stopped

# The file system does not grow with its volume by itself. Asked first, so that an equal size touches nothing.
grow_file_system() {
  local blocks block_size device_size
  # The kernel may see the new size later than DigitalOcean says that the volume has it.
  wait_until 120 "$VOLUME_SIZE_GIB GiB on $VOLUME_DEVICE" volume_has_its_size
  blocks=$(dumpe2fs -h "$VOLUME_DEVICE" 2>/dev/null | sed --quiet 's/^Block count: *//p')
  block_size=$(dumpe2fs -h "$VOLUME_DEVICE" 2>/dev/null | sed --quiet 's/^Block size: *//p')
  device_size=$(blockdev --getsize64 "$VOLUME_DEVICE")
  ((device_size - blocks * block_size >= 1048576)) || return 0
  if ! may_grow_mounted; then release_volume; fi
  mountpoint --quiet "$VOLUME_MOUNT" || check_file_system
  resize2fs "$VOLUME_DEVICE" >/dev/null
  say "the file system of $VOLUME_DEVICE grew to $device_size bytes"
}

volume_has_its_size() { (($(blockdev --getsize64 "$VOLUME_DEVICE") >= VOLUME_SIZE_GIB * 1073741824)); }

check_file_system() {
  local status=0
  e2fsck -f -p "$VOLUME_DEVICE" >/dev/null || status=$?
  ((status <= 1)) || fail "e2fsck on $VOLUME_DEVICE ended with status $status" # 1: it mended something
}

# The kernel wants CAP_SYS_RESOURCE (bit 24) to grow what is mounted. Every machine of its own has it, a container may not.
may_grow_mounted() { ((0x$(sed --quiet 's/^CapEff:[[:space:]]*//p' /proc/self/status) >> 24 & 1)); }

release_volume() {
  mountpoint --quiet "$VOLUME_MOUNT" || return 0
  say "a mounted file system may not be grown here: the tier stops for some seconds"
  touch "$TIER_PENDING" # a run that is cut off leaves the start to the next one
  systemctl stop "basecommerce-$TIER.service"
  systemctl stop "$(systemd-escape --path --suffix=mount "$VOLUME_MOUNT")"
}

start_tier() {
  [[ -e $TIER_PENDING ]] || return 0
  systemctl start "basecommerce-$TIER.service"
  rm --force "$TIER_PENDING"
}

install_volume() {
  [[ -n $VOLUME_DEVICE ]] || return 0
  wait_until 120 "the volume $VOLUME_DEVICE" test -b "$VOLUME_DEVICE"
  make_file_system
  install --directory --mode=0755 "$VOLUME_MOUNT"
  grow_file_system
  # By the volume's own name, which udev and DigitalOcean's documentation use; the label was checked above.
  # https://docs.digitalocean.com/products/volumes/how-to/mount/
  unit "$(systemd-escape --path --suffix=mount "$VOLUME_MOUNT")" boot <<UNIT
[Unit]
Description=Data volume $VOLUME_LABEL
Before=docker.service

[Mount]
What=$VOLUME_DEVICE
Where=$VOLUME_MOUNT
Type=ext4
Options=noatime

[Install]
WantedBy=multi-user.target
UNIT
}

mount_volume() {
  [[ -n $VOLUME_DEVICE ]] || return 0
  # A changed unit counts from the next boot on: remounting now would pull the data from under PostgreSQL.
  mountpoint --quiet "$VOLUME_MOUNT" || systemctl start "$(systemd-escape --path --suffix=mount "$VOLUME_MOUNT")"
  mountpoint --quiet "$VOLUME_MOUNT" || fail "$VOLUME_MOUNT is not mounted"
}

wait_for_cloud_init
install_authorized_key
configure_sshd
install_scrubber
let_metrics_agent_out
install_swap
install_volume
install_upkeep
load_units
start_swap
mount_volume
start_tier
systemctl start basecommerce-prune.timer basecommerce-watchdog.timer
say "host is ready"
