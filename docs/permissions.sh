#!/usr/bin/env bash
# Makes a broker user with what its role needs and nothing else; an existing one is set right again, with its password left alone.
# As often as needed, wherever rabbitmqctl reaches the broker (RABBITMQCTL: how to call it; RABBITMQ_VHOST: the virtual host, by default /):
#
#   docs/permissions.sh producer NAME  <password-file           an application: publishes logouts
#   docs/permissions.sh receiver NAME  <password-file           receive: publishes logouts that came by HTTP
#   docs/permissions.sh operator NAME  <password-file           submit, incident open, dead: publishes any event, reads revocation.dead
#   docs/permissions.sh worker NAME    <password-file           run, check: declares, consumes, publishes invalidations
#   docs/permissions.sh verifier NAME [SERVICE]  <password-file reads invalidations, reports as SERVICE (by default NAME)
#
# Which users may order what is set in the workers' [authorization], and which report for a service in [verifiers] owners.
set -euo pipefail

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2; exit 2; }
plain() { [[ $1 =~ ^[A-Za-z0-9_.][A-Za-z0-9._-]*$ ]] || { printf 'permissions: %q: letters, digits, dots, hyphens and underscores only, no hyphen first\n' "$1" >&2; exit 2; }; }
literally() { printf '%s' "${1//./\\.}"; } # in a pattern

[ $# = 2 ] || { [ $# = 3 ] && [ "$1" = verifier ]; } || usage
role=$1 name=$2 service=${3:-$2} vhost=${RABBITMQ_VHOST:-/}
plain "$name" && plain "$service"
rabbitmqctl() { command "${RABBITMQCTL:-rabbitmqctl}" --quiet "$@"; }
ctl() { rabbitmqctl "$@" </dev/null; }

# Exchange and, beside it, the routing keys that the user may publish with; elsewhere the permissions below decide alone.
topics=
case $role in
  producer | receiver)
    configure='^$' write='^auth\.events$' read='^$'
    topics=('auth.events' '^auth\.logout(\..*)?$')
    ;;
  operator)
    configure='^$' write='^auth\.events$' read='^revocation\.dead$'
    ;;
  worker)
    own='auth\.invalidations(\.log|\.beats|\.snapshots)?|revocation\.(logout|mass|cutoff|dead|verifiers)'
    # To bind a queue takes write on it and read on the exchange; nothing of the worker's publishes events or reports.
    configure="^(auth\\.events|auth\\.verifiers|$own)\$" write="^($own)\$" read="^(auth\\.events|auth\\.verifiers|$own)\$"
    ;;
  verifier)
    configure='^$' write='^auth\.verifiers$' read='^auth\.invalidations\.(log|beats|snapshots)$'
    topics=('auth.verifiers' "^status\\.$(literally "$service")\$")
    ;;
  *) usage ;;
esac

if ! ctl list_users --no-table-headers | cut -f1 | grep -xF -- "$name" >/dev/null; then
  rabbitmqctl add_user "$name" # reads the password
fi
# No tag: `administrator` may do anything, `impersonator` may publish in anybody's name.
ctl set_user_tags "$name"
ctl set_permissions -p "$vhost" "$name" "$configure" "$write" "$read"
ctl clear_topic_permissions -p "$vhost" "$name"
if [ -n "${topics[0]}" ]; then
  ctl set_topic_permissions -p "$vhost" "$name" "${topics[0]}" "${topics[1]}" '^$'
fi
