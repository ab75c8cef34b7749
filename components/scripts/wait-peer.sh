# shellcheck shell=bash
# Runs on the bastion: wait until the peer's sshd greets. A proxied connection retries its handshake on a dead
# socket, so the peer must answer before anything is sent through.
# Variables: PEER_NAME PEER_ADDRESS PEER_PORT WAIT_SECONDS

# The greeting counts, not the open port: a firewall or a booting sshd may accept and close.
greets() {
  # shellcheck disable=SC2016 # the inner bash expands its own arguments
  timeout 5 bash -c '
    exec 3<>"/dev/tcp/$1/$2"
    read -r -t 4 -u 3 greeting
    [[ $greeting == SSH-2.0-* ]]
  ' greets "$PEER_ADDRESS" "$PEER_PORT" 2>/dev/null
}

wait_until "$WAIT_SECONDS" "SSH of $PEER_NAME ($PEER_ADDRESS port $PEER_PORT) seen from the edge" greets
say "SSH of $PEER_NAME answers"
