#!/bin/bash
# Run once by the image of PostgreSQL, when its data folder is new: the test table, who owns it, and who reads its changes.
set -euo pipefail

psql -v ON_ERROR_STOP=1 -v list_sync="$LIST_SYNC_PASSWORD" -v loader="$LOADER_PASSWORD" -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE loader LOGIN PASSWORD :'loader';
CREATE ROLE list_sync LOGIN REPLICATION PASSWORD :'list_sync';
CREATE TABLE public.test (id BIGINT PRIMARY KEY, category VARCHAR(255), domain VARCHAR(255), "timestamp" TIMESTAMP);
CREATE INDEX test_domain ON public.test (domain);
ALTER TABLE public.test OWNER TO loader;
GRANT SELECT ON public.test TO list_sync;
CREATE PUBLICATION list_sync_pgsql FOR TABLE public.test WITH (publish_via_partition_root = true);
SQL
