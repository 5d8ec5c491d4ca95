#!/bin/sh
# Makes the cluster with the user and the database `mico` on the first start, then is the server.
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    [ -n "${POSTGRES_PASSWORD:-}" ] || {
        echo "database: set POSTGRES_PASSWORD, the password of the user mico" >&2
        exit 2
    }
    rm -rf "$data/new"
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata="$data/new" --username=mico --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$data/new/pg_hba.conf"
    echo 'CREATE DATABASE mico' | postgres --single -D "$data/new" postgres >/dev/null
    # Whole or not at all: a container that is killed here starts over.
    version=$(cat "$data/new/PG_VERSION")
    rm "$data/new/PG_VERSION"
    mv "$data/new"/* "$data/"
    rmdir "$data/new"
    echo "$version" >"$data/PG_VERSION"
fi
unset POSTGRES_PASSWORD
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
