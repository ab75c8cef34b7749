# shellcheck shell=bash
# Makes UFW and Docker's user chain equal to the table on standard input, one rule a line:
#   ufw <allow|deny> <tcp|udp> <port> <source> <name>
#   docker <tcp|udp> <published port> <source> <destination address|any>
# Ports are `22` or `8000:8010`. The metadata address is closed by basecommerce-metadata.service from the first boot.
# Nothing is ever taken down to be put up again: UFW's rules are added before strange ones go, and the packet filter
# takes a chain over in one commit. `ufw reload` is not used, since it opens the machine while it runs.
# Paths can be set for tests: UFW_DIR DEFAULTS_FILE

UFW_DIR=${UFW_DIR:-/etc/ufw}
DEFAULTS_FILE=${DEFAULTS_FILE:-/etc/default/ufw}
BEGIN_MARK='# BEGIN basecommerce'
END_MARK='# END basecommerce'

UFW_RULES=()
DOCKER_RULES=()

read_table() {
  local kind rule
  while read -r kind rule; do
    case $kind in
      ufw) UFW_RULES+=("$rule") ;;
      docker) DOCKER_RULES+=("$rule") ;;
      '') ;;
      *) fail "unknown kind of rule: $kind" ;;
    esac
  done
  # An empty table would close SSH for good.
  ((${#UFW_RULES[@]})) || fail "the table has no UFW rule"
}

# UFW's comment is how a rule of ours is known again, whatever form UFW shows it in. Fills the caller's `wanted`.
add_rules() {
  local rule action protocol port source name comment added
  added=$(ufw show added)
  for rule in "${UFW_RULES[@]}"; do
    read -r action protocol port source name <<<"$rule"
    # UFW stops at the first rule that fits: what is refused stands before what is admitted.
    if [[ $action == deny ]]; then action='prepend deny'; fi
    comment="basecommerce $name $protocol/$port $source"
    wanted[$comment]=yes
    # shellcheck disable=SC2086 # one or two words
    grep --quiet --fixed-strings "comment '$comment'" <<<"$added" ||
      ufw $action proto "$protocol" from "$source" to any port "$port" comment "$comment" >/dev/null
  done
}

converge_ufw() {
  local line comment defaults
  local -A wanted=()
  add_rules

  defaults=$(ufw status verbose)
  grep --quiet '^Status: active' <<<"$defaults" || ufw --force enable >/dev/null
  defaults=$(ufw status verbose)
  grep --quiet '^Default: deny (incoming)' <<<"$defaults" || ufw default deny incoming >/dev/null

  # The table is the whole truth: what first boot or a hand added goes, last of all.
  local stuck=() gone=0
  while read -r line; do
    [[ $line == 'ufw '* ]] || continue
    comment=$(sed --quiet "s/.* comment '\(.*\)'$/\1/p" <<<"$line")
    [[ -n $comment && -n ${wanted[$comment]:-} ]] && continue
    if delete_rule "${line%% comment *}"; then gone=1; else stuck+=("$line"); fi
  done < <(ufw show added)
  # UFW skips a refusal while an admission of the same is there.
  if ((gone)); then add_rules; fi
  ((${#stuck[@]} == 0)) || fail "UFW does not delete: $(printf '%s; ' "${stuck[@]}")"
}

# delete_rule LINE: delete a rule as `ufw show added` prints it: the words of the line are those of the command, and a
# name with a space is in quotes. A route rule has a word of its own before `delete`.
delete_rule() {
  local words kind=()
  mapfile -t words < <(xargs --max-args=1 printf '%s\n' <<<"${1#ufw }")
  if [[ ${words[0]} == route ]]; then
    kind=(route)
    words=("${words[@]:1}")
  fi
  ufw --force "${kind[@]}" delete "${words[@]}" >/dev/null
}

# user_chain FAMILY (4|6): Docker asks this chain first for every forwarded packet, also for published ports, which
# UFW never sees. The address and port are those the client aimed at: the chain itself sees them rewritten already.
# Only rewritten (DNAT) connections are let in, so a neighbour that routes to a container's own address gets nothing,
# nor one that aims at a port published on 127.0.0.1 (Docker before 28 lets both through:
# https://github.com/moby/moby/issues/45610).
user_chain() {
  local family=$1 rule protocol port source destination target
  say '*filter'
  say ':DOCKER-USER - [0:0]'
  say '-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN'
  # What containers begin: to each other and outwards.
  say '-A DOCKER-USER -i docker0 -j RETURN'
  say '-A DOCKER-USER -i br-+ -j RETURN'
  # Compose networks whose bridge has a name of ours.
  say '-A DOCKER-USER -i bc-+ -j RETURN'
  for rule in "${DOCKER_RULES[@]}"; do
    read -r protocol port source destination <<<"$rule"
    if [[ $source == *:* ]]; then [[ $family == 6 ]] || continue; else [[ $family == 4 ]] || continue; fi
    target=
    if [[ $destination != any ]]; then target=" --ctorigdst $destination"; fi
    say "-A DOCKER-USER -p $protocol -s $source -m conntrack --ctstate DNAT --ctdir ORIGINAL$target --ctorigdstport $port -j RETURN"
  done
  say '-A DOCKER-USER -j DROP'
  say 'COMMIT'
}

# keep_block FILE: replace our marked lines in FILE by standard input; UFW applies the file at boot and at reload.
keep_block() {
  local file=$1 rest
  rest=$(sed "/^$BEGIN_MARK/,/^$END_MARK/d" "$file")
  put "$file" 0640 < <(
    printf '%s\n%s\n' "$rest" "$BEGIN_MARK (written by basec up; edits are lost)"
    cat
    say "$END_MARK"
  )
}

apply_chains() {
  user_chain 4 | iptables-restore --wait --noflush
  keep_block "$UFW_DIR/after.rules" < <(user_chain 4)
  grep --quiet '^IPV6=yes' "$DEFAULTS_FILE" || return 0
  user_chain 6 | ip6tables-restore --wait --noflush
  keep_block "$UFW_DIR/after6.rules" < <(user_chain 6)
}

# The chain first: it needs nothing of UFW, and must not stay old where UFW has a rule that it will not let go.
read_table
apply_chains
converge_ufw
say "firewall equals its table"
