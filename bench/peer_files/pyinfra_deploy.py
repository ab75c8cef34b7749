"""The part of a no-op `up` that pyinfra can check on a host: packages, services, the tier's files.

It does less than `basec up`: no cloud, no DNS, no firewall rules, no secrets, no health.
"""

from pyinfra import host
from pyinfra.operations import apt, files, systemd

apt.packages(name="packages", packages=["docker.io", "ufw"], _sudo=True)
systemd.service(name="docker", service="docker.service", running=True, enabled=True, _sudo=True)
files.sync(name="files", src=f"compose/{host.data.tier}", dest=f"/opt/peer-pyinfra/{host.data.tier}", _sudo=True)
systemd.service(
    name="containers", service=f"basecommerce-{host.data.tier}.service", running=True, enabled=True, _sudo=True
)
