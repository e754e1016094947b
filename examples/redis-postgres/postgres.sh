#!/bin/sh
# Becomes PostgreSQL; the first time it makes the database. The server refuses to be run by root: then
# it is the user postgres, who must be able to reach the folder. OPSD_POSTGRES names another one.
set -eu
umask 077
folder=${OPSD_POSTGRES:-$PWD/postgres}
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
owner=$(id -un)
as_owner=
if [ "$(id -u)" = 0 ]; then
    owner=postgres
    as_owner="setpriv --reuid=postgres --regid=postgres --init-groups"
fi

mkdir -p "$folder"
[ "$(id -u)" != 0 ] || chown postgres: "$folder"
if ! $as_owner test -x "$folder"; then
    echo "the user $owner cannot reach $folder: let OPSD_POSTGRES name a folder that it can" >&2
    exit 1
fi

if [ ! -d "$folder/data" ]; then
    # An earlier attempt may have been interrupted.
    rm -rf "$folder/new"
    $as_owner initdb -D "$folder/new" -U "$owner" --encoding=UTF8 --no-locale \
        --auth-local=peer --auth-host=reject
    printf '%s\n' "CREATE ROLE opsd LOGIN PASSWORD '$(cat postgres.password)'" \
        "CREATE DATABASE opsd OWNER opsd" |
        $as_owner postgres --single -D "$folder/new" postgres >/dev/null
    printf '%s\n' "local all all peer" "host opsd opsd 127.0.0.1/32 scram-sha-256" \
        >"$folder/new/pg_hba.conf"
    mv "$folder/new" "$folder/data"
fi
exec $as_owner postgres -D "$folder/data" -c listen_addresses=127.0.0.1 -c port="$PORT" \
    -c unix_socket_directories="$folder"
