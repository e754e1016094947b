#!/bin/sh
# Becomes redis-server. It reads its configuration from the standard input, so that nobody sees the
# password in the list of processes.
set -eu
umask 077
mkdir -p redis
exec redis-server - <<END
bind 127.0.0.1
port $PORT
dir $PWD/redis
requirepass $(cat redis.password)
appendonly yes
appendfsync everysec
save 3600 1
maxmemory 1gb
maxmemory-policy noeviction
END
