"""Words that several rooms share. Scripts on droplets and the local cloud have their own copies."""

PROJECT = "basecommerce"
"""Pulumi's project; the first word of names in the cloud, of our settings' keys and of our components' types."""

LOCAL_STACK = "local"
CLOUD_STACKS = ("staging", "production")
LOCAL_STACK_NAME = rf"{LOCAL_STACK}(-[a-z0-9]{{1,14}})?"
"""A short suffix, since the name becomes part of container and interface names."""

SETTINGS_KEY = f"{PROJECT}:settings"
"""Of a stack's file: its settings, in clear."""
MADE_KEY = f"{PROJECT}:made"
"""Of a stack's file: when `basec init` made its secrets."""
SALT_KEY = "encryptionsalt"
"""Of a stack's file: the engine's word for what opens its secrets together with the passphrase."""
LOCAL_TEMPLATE = f"Pulumi.{LOCAL_STACK}.yaml"
"""The tracked file from which those of local stacks are rendered."""

LOGIN_KEY = "login_private_key"
HOST_KEY = "host_key_"
"""Before a droplet's name."""
DEMO_PASSWORD = "demo_password"  # noqa: S105 - a secret's name, as below
DIGITALOCEAN_TOKEN = "digitalocean:token"  # noqa: S105
CLOUDFLARE_TOKEN = "cloudflare:apiToken"  # noqa: S105

STACK_FILE_VARIABLE = "BASECOMMERCE_STACK_FILE"
"""Names the stack's file for the policy pack."""
ALLOW_VARIABLE = "BASECOMMERCE_ALLOW_REPLACE"
"""Names or URNs, separated by spaces, that `--allow-replace` named."""

SSH_PORT = 22
HTTP_PORT, HTTPS_PORT = 80, 443
"""The default ports, which a URL leaves out."""

PROJECT_FILTER = "label=com.docker.compose.project"
SERVICE_FILTER = "label=com.docker.compose.service"
"""Docker's filters by the labels that compose gives its containers."""

COMPOSE_STACK = f"{PROJECT}:compose:ComposeStack"
"""The component that activates a release, by its type; the providers' types follow."""
DROPLET = "digitalocean:index/droplet:Droplet"
VOLUME = "digitalocean:index/volume:Volume"
RESERVED_IP = "digitalocean:index/reservedIp:ReservedIp"
VPC = "digitalocean:index/vpc:Vpc"
BUCKET = "digitalocean:index/spacesBucket:SpacesBucket"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a text that only `up` will know."""
