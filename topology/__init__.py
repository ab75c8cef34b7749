"""Pure planning of the platform: settings, inventory, firewall, user data, bundles. No Pulumi, no network, no clock."""
