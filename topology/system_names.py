"""Users and groups that a droplet's image already has: `useradd` refuses each of them for a new user and its group."""

from __future__ import annotations

BASE_FILES = (
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody nogroup _apt "
    "adm tty disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev "
    "staff users"
)
"""Of every Debian. Source: `passwd.master` and `group.master` of https://salsa.debian.org/debian/base-passwd."""

SYSTEMD = (
    "systemd-journal systemd-network systemd-resolve systemd-timesync systemd-coredump systemd-oom "
    "systemd-journal-remote systemd-journal-upload input sgx kvm render clock"
)
"""Source: systemd, `sysusers.d/*.conf` (https://github.com/systemd/systemd), whose udev part owns the last five."""

PACKAGES = (
    "messagebus polkitd sshd ssh _ssh crontab netdev uuidd tcpdump dhcpcd ntpsec chrony _chrony rdma syslog docker "
    "landscape lxd"
)
"""Of dbus, polkit, openssh, cron, network, clocks and Docker. Sources: their `postinst` and `sysusers.d` files."""

DIGITALOCEAN = "debian admin do-agent droplet-agent"
"""cloud-init's own default users, and those of DigitalOcean's agents. Sources: cloud-init's `cloud.cfg.tmpl` and
https://github.com/digitalocean/do-agent (packaging/scripts)."""

SYSTEM_NAMES = frozenset(" ".join((BASE_FILES, SYSTEMD, PACKAGES, DIGITALOCEAN)).split())
