#!/bin/bash
# The first start of a PostgreSQL data directory, with the variables of the official image:
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as <name>_FILE), POSTGRES_INITDB_ARGS,
# POSTGRES_HOST_AUTH_METHOD, PGDATA, and the scripts of /docker-entrypoint-initdb.d.
# Source: https://github.com/docker-library/docs/blob/master/postgres/README.md
set -euo pipefail

die() {
	printf 'docker-entrypoint.sh: %s\n' "$*" >&2
	exit 1
}

# Take NAME from the file that NAME_FILE names, so that a secret need not be in the environment.
from_file() {
	local name="$1" file_name="${1}_FILE" default="${2:-}"
	if [[ -n "${!name:-}" && -n "${!file_name:-}" ]]; then
		die "$name: set together with $file_name; only one may be given"
	fi
	if [[ -n "${!file_name:-}" ]]; then
		printf -v "$name" '%s' "$(<"${!file_name}")"
	elif [[ -z "${!name:-}" ]]; then
		printf -v "$name" '%s' "$default"
	fi
	unset "$file_name"
}

on_socket() {
	PGHOST=/var/run/postgresql PGPASSWORD="$POSTGRES_PASSWORD" psql \
		--no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" "$@"
}

run_init_scripts() {
	local file
	for file in /docker-entrypoint-initdb.d/*; do
		case "$file" in
		*.sh)
			if [[ -x "$file" ]]; then
				"$file"
			else
				# shellcheck disable=SC1090  # the scripts are the operator's
				. "$file"
			fi
			;;
		*.sql) on_socket --dbname "$POSTGRES_DB" --file "$file" ;;
		*.sql.gz) gunzip --stdout "$file" | on_socket --dbname "$POSTGRES_DB" ;;
		esac
	done
}

# The directory is made aside and moved in when it is whole, PG_VERSION last: a first start that is cut off at
# any point is done again or finished by the next, and half a database is never served.
make_data_directory() {
	local target="$PGDATA"
	if [[ -z "$POSTGRES_PASSWORD" && "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]]; then
		die "POSTGRES_PASSWORD: empty; a database that is reachable without a password is refused"
	fi
	if [[ ! -d "$target/.ready" ]]; then
		export PGDATA="$target/.unfinished"
		rm -rf "$PGDATA"
		# The password travels in a pipe. The arguments are split by the shell, as in the official image.
		eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") ${POSTGRES_INITDB_ARGS:-}"
		fill_data_directory
		mv "$PGDATA" "$target/.ready"
	fi
	export PGDATA="$target"
	find "$PGDATA/.ready" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv --target-directory "$PGDATA" '{}' +
	sync --file-system "$PGDATA"
	mv "$PGDATA/.ready/PG_VERSION" "$PGDATA/"
	rmdir "$PGDATA/.ready"
}

fill_data_directory() {
	local method="${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption)}"
	printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
	# Nobody but this script may come in before the password, the database and the scripts are done: no TCP.
	PGUSER="$POSTGRES_USER" pg_ctl --wait --silent \
		--options "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql" start
	if [[ "$POSTGRES_DB" != postgres ]]; then
		on_socket --dbname postgres --set "db=$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
	fi
	run_init_scripts
	pg_ctl --mode fast --wait --silent stop
}

main() {
	if [[ "${1:-}" == -* ]]; then
		set -- postgres "$@"
	fi
	if [[ "${1:-}" != postgres ]]; then
		exec "$@"
	fi
	mkdir -p "$PGDATA"
	if [[ "$(id --user)" == 0 ]]; then
		chown postgres:postgres "$PGDATA" /var/run/postgresql
		exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
	fi
	chmod 0700 "$PGDATA" 2>/dev/null || true # a mount that another process owns: postgres itself checks the mode
	from_file POSTGRES_PASSWORD
	from_file POSTGRES_USER postgres
	from_file POSTGRES_DB "$POSTGRES_USER"
	if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
		export POSTGRES_USER POSTGRES_DB POSTGRES_PASSWORD
		make_data_directory
	fi
	unset POSTGRES_PASSWORD
	exec "$@"
}

main "$@"
