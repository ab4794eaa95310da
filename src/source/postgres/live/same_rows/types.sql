CREATE DOMAIN SCHEMA_.whole AS int; CREATE DOMAIN SCHEMA_.raw AS bytea; CREATE TYPE SCHEMA_.mood AS ENUM ('sad', 'ok');
CREATE TYPE SCHEMA_."Mixed Pair" AS (a int, b text);
CREATE TABLE SCHEMA_.types (
  id bigint PRIMARY KEY, i2 smallint, i4 int, i8 bigint, f4 real, f8 double precision, n numeric, n2 numeric(20,5), b boolean, o oid,
  t text, v varchar(9), c char(4), nm name, by bytea, d date, ti time, tz timetz, ts timestamp, ts3 timestamp(3), tsz timestamptz, iv interval,
  m money, u uuid, j json, jb jsonb, x xml, bi bit(3), vb varbit, inet inet, cidr cidr, mac macaddr, p point, l line, bx box, ci circle,
  ai int[], at text[], r int4range, mr nummultirange, tv tsvector, tq tsquery, w SCHEMA_.whole, raw SCHEMA_.raw, e SCHEMA_.mood,
  pair SCHEMA_."Mixed Pair", lsn pg_lsn, g int GENERATED ALWAYS AS (i2 + 1) STORED, "odd ""name""" text, xid xid, ch "char", rc regclass)