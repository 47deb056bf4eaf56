# SPDX-License-Identifier: Apache-2.0
"""Ways that people have thought of to see a masked column all the same.

No detector helps here, and the login at the server is a superuser's: what hides the values is where
they come from. Each way is a script of statements on a session of its own; everything that comes
back, rows, errors, notices, settings and notifications, is searched for the values.
"""
import base64
import unittest

from harness import World
from test_postgres_semantics import q, window

SCHEMA = """
CREATE EXTENSION hstore; CREATE EXTENSION dblink; CREATE EXTENSION tablefunc;
CREATE EXTENSION pageinspect; CREATE EXTENSION xml2;
CREATE TYPE mood AS ENUM ('zq7secretmood', 'calm');
CREATE TABLE vault (id int PRIMARY KEY, name text, secret text CHECK (length(secret) > 3), pin int,
                    feeling mood, span int4range, spans int4multirange);
INSERT INTO vault VALUES
  (1, 'a', 'Zq7SECRETalpha', 734000111, 'zq7secretmood', '[734000111,734000115)', '{[734000111,734000119)}'),
  (2, 'b', 'Zq7SECRETbravo', 734000444, 'calm', '[734000444,734000448)', '{[734000444,734000449)}');
CREATE TABLE tree (id int, up int, secret text);
INSERT INTO tree VALUES (1, NULL, 'Zq7SECRETroot'), (2, 1, 'Zq7SECRETleaf');
CREATE TYPE pair AS (a text, b int);
CREATE TABLE holder (id int, secret pair);
INSERT INTO holder VALUES (1, ROW('Zq7SECRETpair', 734000222));
CREATE TABLE notes (id int, body text);
CREATE TABLE typed (n int);
CREATE TABLE listed (id int, body text) PARTITION BY LIST (body);
CREATE VIEW safe AS SELECT id, secret AS s FROM vault;
CREATE VIEW deep AS SELECT (SELECT s FROM safe LIMIT 1) AS d, array_agg(s) OVER () AS w FROM safe;
CREATE FUNCTION many() RETURNS SETOF vault LANGUAGE sql STABLE AS 'SELECT * FROM public.vault';
CREATE FUNCTION cols() RETURNS TABLE (x text) LANGUAGE plpgsql AS
  'BEGIN RETURN QUERY SELECT secret FROM public.vault; END';
CREATE FUNCTION folded() RETURNS text LANGUAGE sql IMMUTABLE AS
  'SELECT secret FROM public.vault WHERE id = 1';
CREATE FUNCTION opens(refcursor) RETURNS refcursor LANGUAGE plpgsql AS
  'BEGIN OPEN $1 FOR SELECT secret FROM public.vault; RETURN $1; END';
CREATE FUNCTION raises(code text) RETURNS void LANGUAGE plpgsql AS
  'BEGIN RAISE EXCEPTION USING ERRCODE = code, MESSAGE = (SELECT secret FROM public.vault WHERE
   id = 1), DETAIL = (SELECT secret FROM public.vault WHERE id = 1), HINT = (SELECT secret FROM
   public.vault WHERE id = 1), COLUMN = (SELECT secret FROM public.vault WHERE id = 1), CONSTRAINT =
   (SELECT secret FROM public.vault WHERE id = 1), DATATYPE = (SELECT secret FROM public.vault WHERE
   id = 1), TABLE = (SELECT secret FROM public.vault WHERE id = 1), SCHEMA = (SELECT secret FROM
   public.vault WHERE id = 1); END';
CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS
  'BEGIN EXECUTE ''SELECT '' || quote_ident((SELECT secret FROM public.vault WHERE id = 1)); END';
CREATE FUNCTION stores() RETURNS text LANGUAGE plpgsql AS
  'BEGIN RETURN set_config(''my.thing'', (SELECT secret FROM public.vault WHERE id = 1), false); END';
CREATE FUNCTION names_itself() RETURNS void LANGUAGE plpgsql AS
  'BEGIN PERFORM set_config(''application_name'', (SELECT secret FROM public.vault WHERE id = 1),
   false); END';
CREATE FUNCTION on_note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN RAISE WARNING ''seen %'', (SELECT secret FROM public.vault WHERE id = 1);
   RAISE EXCEPTION ''%'', (SELECT secret FROM public.vault WHERE id = 1) USING ERRCODE = ''23505''; END';
CREATE TABLE watched (id int);
CREATE TRIGGER t BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION on_note();
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE RULE peek AS ON INSERT TO typed DO ALSO SELECT secret FROM vault;
CREATE STATISTICS both_ (mcv) ON id, secret FROM vault;
ANALYZE vault;
"""
POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: masking}
spec:
  rules:
  - {id: pii, mask: [{columns: ["*.secret", "*.pin", "*.feeling", "*.span", "*.spans"], with: redact}]}
  - {id: rest, allow: {unknown: true}}
"""
PLAIN = "Zq7SECRET"
SECRETS = [s.encode() for s in (
    PLAIN, PLAIN.lower(), PLAIN.upper(), "SECRETal", "TERCES7qZ", "secretal", "734000111", "734000444",
    "734000222", PLAIN.encode().hex(), base64.b64encode(b"Zq7SECRETalpha").decode()[:12],
    "Z q 7", "Z,q,7", "zq7secretmood", "mfDFRPEG",
)] + [(734000111).to_bytes(4, "big"), (734000444).to_bytes(4, "big"), (734000222).to_bytes(4, "big")]

WAYS = [
    # Texts out of texts.
    "SELECT encode(secret::bytea, 'hex') FROM vault", "SELECT encode(secret::bytea, 'base64') FROM vault",
    "SELECT convert_to(secret, 'UTF8') FROM vault", "SELECT textsend(secret) FROM vault",
    "SELECT format('%s', secret) FROM vault", "SELECT concat_ws('-', id, secret) FROM vault",
    "SELECT quote_literal(secret), quote_ident(secret) FROM vault",
    "SELECT translate(secret, 'ab', 'ab') FROM vault", "SELECT overlay(secret placing 'x' from 14) FROM vault",
    "SELECT string_to_table(secret, 'Q') FROM vault", "SELECT string_to_array(secret, NULL) FROM vault",
    "SELECT regexp_split_to_table(secret, 'x') FROM vault", "SELECT regexp_replace(secret, 'x', '') FROM vault",
    "SELECT secret COLLATE \"C\" FROM vault", "SELECT secret::varchar(9) FROM vault", "SELECT secret::name FROM vault",
    "SELECT secret::cstring FROM vault", "SELECT nullif(secret, ''), greatest(secret, '') FROM vault",
    "SELECT to_tsvector('simple', secret) FROM vault", "SELECT ts_headline(secret, 'q'::tsquery) FROM vault",
    "SELECT * FROM ts_debug('simple', (SELECT secret FROM vault WHERE id = 1))",
    "SELECT * FROM ts_parse('default', (SELECT secret FROM vault WHERE id = 1))",
    "SELECT ts_lexize('simple', secret) FROM vault", "SELECT plainto_tsquery('simple', secret) FROM vault",
    "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', secret) FROM vault')",
    "SELECT v FROM vault v", "SELECT v::text FROM vault v", "SELECT v.row_to_json FROM vault v",
    "SELECT secret(v) FROM vault v", "SELECT text(v.*::text) FROM vault v", "SELECT record_send(v) FROM vault v",
    "SELECT concat(v) FROM vault v", "SELECT (array_agg(v))[1].secret FROM vault v",
    "SELECT (SELECT v FROM vault v LIMIT 1)", "SELECT ((SELECT v FROM vault v LIMIT 1)).secret",
    "SELECT max(v::text) FROM vault v", "SELECT t.a FROM vault AS t(x, y, a)",
    "SELECT j.secret FROM vault a JOIN vault b USING (id, secret) AS j",
    "SELECT j FROM vault a JOIN vault b USING (id, secret) AS j",
    "SELECT pin * 1, pin + 0, -pin, pin::text, pin::float8, pin::numeric, to_char(pin, '999999999') FROM vault",
    "SELECT width_bucket(pin, 0, 1000000000, 1000000000) FROM vault", "SELECT generate_series(pin, pin) FROM vault",
    "SELECT mode() WITHIN GROUP (ORDER BY secret), percentile_disc(0) WITHIN GROUP (ORDER BY pin) FROM vault",
    "SELECT rank(734000111) WITHIN GROUP (ORDER BY pin), secret FROM vault GROUP BY GROUPING SETS ((secret), ())",
    "SELECT DISTINCT ON (secret) secret FROM vault", "SELECT lag(secret) OVER w, nth_value(secret, 1) OVER w FROM vault WINDOW w AS (ORDER BY id)",
    "SELECT bit_or(pin), sum(pin), avg(pin), min(pin) FROM vault", "SELECT stddev(pin), regr_avgx(pin, pin) FROM vault",
    "SELECT hashtext(secret), md5(pin::text) FROM vault",
    # Ranges, enums, composites.
    "SELECT feeling, span, spans FROM vault", "SELECT lower(span), upper(spans) FROM vault", "SELECT enum_range(feeling) FROM vault",
    "SELECT feeling::text FROM vault", "SELECT secret FROM holder", "SELECT (secret).a, (secret).b FROM holder",
    "SELECT (h.secret).* FROM holder h", "SELECT unnest(spans) FROM vault", "SELECT ROW(span) FROM vault",
    # Documents.
    "SELECT xmlelement(name a, secret) FROM vault", "SELECT xmlforest(secret AS b) FROM vault",
    "SELECT xmlelement(name a, xmlattributes(secret)) FROM vault", "SELECT xmlpi(name a, secret) FROM vault",
    "SELECT xmlagg(xmlelement(name a, secret)) FROM vault", "SELECT xmlcomment(secret) FROM vault",
    "SELECT xpath('//text()', xmlelement(name a, secret)) FROM vault", "SELECT xmlserialize(CONTENT xmlelement(name a, secret) AS text) FROM vault",
    "SELECT x.* FROM vault, XMLTABLE('/a' PASSING xmlelement(name a, secret) COLUMNS c text PATH '.') x",
    "SELECT table_to_xml('vault', true, false, '')", "SELECT table_to_xml(('va' || 'ult')::regclass, true, false, '')",
    "SELECT schema_to_xml('public', true, false, '')", "SELECT database_to_xml(true, false, '')",
    "SELECT query_to_xml_and_xmlschema('TABLE vault', true, false, '')",
    "SELECT * FROM xpath_table('id', 'secret', 'vault', '/', 'true') AS t(id int, s text)",
    "SELECT jsonb_path_query(to_jsonb(v), '$.secret') FROM vault v", "SELECT e.* FROM vault v, jsonb_each_text(to_jsonb(v)) e",
    "SELECT r.* FROM vault v, jsonb_to_record(to_jsonb(v)) AS r(secret text)", "SELECT (jsonb_populate_record(NULL::notes, jsonb_build_object('body', secret))).body FROM vault",
    "SELECT x.* FROM vault v, jsonb_populate_record(NULL::vault, to_jsonb(v)) x", "SELECT to_jsonb(v) -> 'secret', to_jsonb(v) #>> '{secret}' FROM vault v",
    "SELECT json_object_agg(secret, id) FROM vault", "SELECT jsonb_object_keys(jsonb_object_agg(secret, 1)) FROM vault",
    "SELECT json_object(ARRAY[name], ARRAY[secret]) FROM vault", "SELECT hstore(v) FROM vault v", "SELECT each(hstore(v)) FROM vault v",
    "SELECT hstore(v) -> 'secret' FROM vault v", "SELECT avals(hstore(v)), svals(hstore(v)) FROM vault v",
    # Queries within queries.
    "SELECT x FROM ROWS FROM (unnest(ARRAY(SELECT secret FROM vault)), generate_series(1, 2)) AS f(x, n)",
    "WITH RECURSIVE r AS (SELECT id, up, secret AS e FROM tree WHERE up IS NULL UNION ALL SELECT t.id, t.up, t.secret FROM tree t JOIN r ON t.up = r.id) SEARCH DEPTH FIRST BY e SET ord SELECT ord FROM r",
    "WITH RECURSIVE r AS (SELECT id, up, secret AS e FROM tree WHERE up IS NULL UNION ALL SELECT t.id, t.up, t.secret FROM tree t JOIN r ON t.up = r.id) CYCLE e SET looped USING path SELECT path, looped FROM r",
    "WITH RECURSIVE r AS (SELECT id, secret AS e FROM tree UNION SELECT id, e FROM r) CYCLE id SET c TO 'x' DEFAULT 'y' USING p SELECT * FROM r",
    "WITH a AS MATERIALIZED (SELECT secret s FROM vault), b(z) AS (SELECT s FROM a) SELECT z FROM b",
    "SELECT (SELECT string_agg(q.s, '') FROM (SELECT v.secret s) q) FROM vault v", "SELECT CASE WHEN true THEN (SELECT secret FROM vault LIMIT 1) END",
    "SELECT * FROM (VALUES (1, (SELECT secret FROM vault LIMIT 1)), (2, 'x')) t(a, b)",
    "VALUES ((SELECT secret FROM vault LIMIT 1))", "SELECT ARRAY[[secret]] FROM vault", "SELECT (ARRAY[secret])[1:1] FROM vault",
    "SELECT * FROM safe", "SELECT * FROM deep", "SELECT * FROM many()", "SELECT many()", "SELECT (many()).secret", "SELECT * FROM cols()",
    "SELECT many.secret FROM many()", "SELECT folded()", "SELECT * FROM vault TABLESAMPLE SYSTEM (100)", "SELECT name FROM vault INTERSECT ALL SELECT name FROM vault UNION SELECT secret FROM vault",
    "SELECT * FROM crosstab('SELECT id, name, secret FROM vault') AS ct(id int, a text)",
    "SELECT * FROM dblink('dbname=shop host=' || current_setting('unix_socket_directories') || ' port=' || current_setting('port'), 'SELECT secret FROM vault') AS t(s text)",
    "INSERT INTO typed VALUES (1)",
    # Plans and statistics.
    "EXPLAIN (VERBOSE, COSTS off) SELECT folded()", "EXPLAIN (VERBOSE, FORMAT json) SELECT folded()",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM vault WHERE secret = folded()",
    "SELECT stavalues1, stavalues2, stavalues3 FROM pg_statistic WHERE starelid = 'vault'::regclass", "SELECT s FROM pg_statistic s WHERE starelid = 'vault'::regclass",
    "SELECT to_jsonb(s) FROM pg_stats s WHERE tablename = 'vault'", "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats",
    "SELECT * FROM pg_stats_ext", "SELECT most_common_vals FROM pg_stats_ext", "SELECT m.* FROM pg_statistic_ext_data d, pg_mcv_list_items(d.stxdmcv) m",
    "SELECT stxdmcv FROM pg_statistic_ext_data", "SELECT stxdmcv::bytea FROM pg_statistic_ext_data", "SELECT attmissingval FROM pg_attribute",
    "SELECT most_common_vals FROM pg_catalog.pg_stats UNION ALL SELECT NULL",
    # Pages and files.
    "SELECT get_raw_page('vault', 0)", "SELECT t_data FROM heap_page_items(get_raw_page('vault', 0))",
    "SELECT encode(t_data, 'escape') FROM heap_page_items(get_raw_page('vault', 0))",
    "SELECT pg_read_binary_file(pg_relation_filepath('vault'))", "SELECT tuple_data_split('vault'::regclass, t_data, t_infomask, t_infomask2, t_bits) FROM heap_page_items(get_raw_page('vault', 0))",
    # Errors.
    *[f"SELECT secret::{kind} FROM vault" for kind in (
        "int", "json", "jsonb", "inet", "regclass", "regtype", "regproc", "regprocedure", "regoper", "regoperator",
        "regrole", "regnamespace", "regconfig", "regdictionary", "regcollation", "uuid", "bit", "box", "tsquery",
        "timestamptz", "interval", "xml", "jsonpath", "int4range", "macaddr", "bool", "money", "pg_lsn", "txid_snapshot",
        "mood", "int[]", "vault", "hstore", "tid", "xid", "oidvector", "bytea", "point", "numeric(3)", "varbit", "\"char\"")],
    "SELECT to_date(secret, 'YYYY') FROM vault", "SELECT to_number(secret, secret) FROM vault", "SELECT to_timestamp(secret, 'YYYY') FROM vault",
    "SELECT convert('x', secret, 'UTF8') FROM vault", "SELECT current_setting(secret) FROM vault", "SELECT has_table_privilege(secret, 'select') FROM vault",
    "SELECT has_table_privilege('vault', secret) FROM vault", "SELECT pg_get_serial_sequence(secret, 'x') FROM vault", "SELECT pg_get_serial_sequence('vault', secret) FROM vault",
    "SELECT nextval(secret) FROM vault", "SELECT nextval(secret::regclass) FROM vault", "SELECT pg_read_file(secret) FROM vault", "SELECT pg_ls_dir(secret) FROM vault",
    "SELECT format(secret || '%q') FROM vault", "SELECT regexp_match('x', '(' || secret) FROM vault", "SELECT date_trunc(secret, now()) FROM vault",
    "SELECT extract(epoch from secret::timestamp) FROM vault", "SELECT date_part(secret, now()) FROM vault", "SELECT now() AT TIME ZONE secret FROM vault",
    "SELECT encode('x', secret) FROM vault", "SELECT decode(secret, 'hex') FROM vault", "SELECT decode(secret, 'base64') FROM vault", "SELECT normalize('x', 'NFC'), 1 / (length(secret) - 14) FROM vault",
    "SELECT pin::int2 FROM vault", "SELECT (pin || '000')::int FROM vault", "SELECT pin * 100000 FROM vault", "SELECT chr(pin) FROM vault", "SELECT make_date(pin, 1, 1) FROM vault",
    "SELECT setseed(pin) FROM vault", "SELECT lpad('x', pin * 2) FROM vault", "SELECT ('{' || secret)::text[] FROM vault", "SELECT jsonb_path_query('{}', secret::jsonpath) FROM vault",
    "SELECT (jsonb_build_object('a', secret) ->> 'a')::int FROM vault", "SELECT jsonb_set('[]', ARRAY[secret], '1') FROM vault", "SELECT xmlparse(document secret) FROM vault", "SELECT xpath(secret, '<a/>') FROM vault",
    "SELECT to_tsquery('simple', secret || ' &') FROM vault", "SELECT dblink_connect(secret) FROM vault", "SELECT dblink_exec('x', secret) FROM vault", "SELECT get_raw_page(secret, 0) FROM vault",
    "SELECT raises('P0001')", *[f"SELECT raises('{code}')" for code in ("42P01", "22023", "23505", "58P01", "57014", "26000", "00000", "01000", "XX000")],
    "SELECT dynamic()", "INSERT INTO watched VALUES (1)", "INSERT INTO vault SELECT 1, 'x', secret FROM vault", "UPDATE vault SET id = pin", "UPDATE vault SET secret = 'x'",
    "INSERT INTO vault (id, secret) SELECT 99, left(secret, 3) FROM vault LIMIT 1", "INSERT INTO listed SELECT 1, secret FROM vault", "INSERT INTO typed SELECT secret::int FROM vault",
    "UPDATE vault SET id = NULL WHERE id = 1", "INSERT INTO vault SELECT * FROM vault ON CONFLICT DO NOTHING RETURNING secret", "ALTER TABLE vault ADD CHECK (secret = 'x')",
    "ALTER TABLE vault ALTER COLUMN secret TYPE int USING secret::int", "CREATE UNIQUE INDEX ON vault ((length(secret)))", "ALTER TABLE notes ADD EXCLUDE USING btree (body WITH =)",
    "SELECT tidin(textout(secret)) FROM vault", "COPY (SELECT secret::int FROM vault) TO STDOUT", "SELECT string_agg(secret, '')::int FROM vault", "SELECT array_in(textout(secret), 23, -1) FROM vault",
    "SELECT lo_import(secret) FROM vault", "SELECT pg_relation_size(secret::regclass) FROM vault", "SELECT to_regclass(secret), to_regtype(secret), pg_size_bytes(secret) FROM vault", "SELECT set_bit('\\x00'::bytea, pin, 1) FROM vault",
    "SELECT pg_notify(secret, '') FROM vault", "SELECT pg_create_logical_replication_slot('x', secret) FROM vault", "SELECT pg_logical_emit_message(true, 'x', secret) FROM vault", "SELECT setval('vault', pin) FROM vault",
    "SELECT parse_ident(secret || '.') FROM vault", "SELECT pg_input_is_valid(secret, 'int') FROM vault", "SELECT enum_first(secret::mood) FROM vault", "SELECT pg_get_viewdef(secret) FROM vault", "SELECT col_description(secret::regclass, 1) FROM vault",
    "SELECT satisfies_hash_partition('vault'::regclass, 1, 0, secret) FROM vault", "SELECT json_populate_record(NULL::typed, json_build_object('n', secret)) FROM vault", "SELECT * FROM json_to_recordset((SELECT json_agg(v) FROM vault v)) AS x(secret int)",
    # COPY.
    "COPY vault TO STDOUT (FORMAT csv, QUOTE 'S', DELIMITER 'q')", "COPY vault (secret) TO STDOUT (DELIMITER 'Z')", "COPY vault (id, secret, pin) TO STDOUT (NULL 'Zq')", "COPY safe TO STDOUT", "COPY (TABLE safe) TO STDOUT (FORMAT csv, ESCAPE 'S')",
    "COPY (SELECT v FROM vault v) TO STDOUT (FORMAT binary)", "COPY vault TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (secret))", "COPY (UPDATE vault SET name = 'z' RETURNING secret) TO STDOUT", "COPY vault TO STDOUT (ENCODING 'LATIN1')",
    "COPY vault TO STDOUT WITH CSV", "COPY BINARY vault TO STDOUT", "COPY (SELECT * FROM holder) TO STDOUT (FORMAT csv)", "COPY vault TO STDOUT (FORMAT csv, NULL '', QUOTE '''')", "COPY vault TO STDOUT (ENCODING 'UTF16')", "COPY vault TO PROGRAM 'cat >&2'",
]

SCRIPTS = {
    "binary cursor": ["BEGIN", "DECLARE c BINARY SCROLL CURSOR FOR SELECT secret, pin FROM vault", "FETCH LAST FROM c", "FETCH BACKWARD ALL FROM c", "FETCH ABSOLUTE 1 FROM c", "FETCH RELATIVE 0 FROM c", "END"],
    "cursor of a function": ["BEGIN", "SELECT opens('zz')", "FETCH ALL FROM zz", "MOVE BACKWARD ALL FROM zz", "FETCH 1 IN \"zz\"", "SELECT cursor_to_xml('zz', 5, true, false, '')", "END"],
    "cursor by DO": ["BEGIN", "DO $$ DECLARE c refcursor := 'yy'; BEGIN OPEN c FOR SELECT secret FROM vault; END $$", "FETCH ALL FROM yy", "END"],
    "a setting by set_config": ["SELECT set_config('my.x', secret, false) FROM vault WHERE id = 1", "SHOW my.x", "SELECT current_setting('my.x')", "SELECT setting FROM pg_settings WHERE name = 'my.x'"],
    "a setting by a function": ["SELECT stores()", "SHOW my.thing", "SELECT current_setting('my.thing')", "SELECT current_setting('my.' || 'thing')", "SHOW ALL", "SELECT * FROM pg_settings"],
    "application_name": ["SELECT set_config('application_name', secret, false) FROM vault WHERE id = 1", "SHOW application_name", "SELECT application_name FROM pg_stat_activity"],
    "application_name by a function": ["SELECT names_itself()", "SHOW application_name", "SELECT current_setting('application_name')"],
    "application_name by DO": ["DO $$ BEGIN PERFORM set_config('application_name', (SELECT secret FROM vault WHERE id = 1), false); END $$", "SELECT application_name FROM pg_stat_activity"],
    "application_name by UPDATE of pg_settings": ["UPDATE pg_settings SET setting = (SELECT secret FROM vault WHERE id = 1) WHERE name = 'application_name'", "SHOW application_name"],
    "notification": ["LISTEN ch", "SELECT pg_notify('ch', secret) FROM vault", "SELECT 1"],
    "notification by DO": ["LISTEN ch", "DO $$ BEGIN PERFORM pg_notify('ch', (SELECT secret FROM vault WHERE id = 1)); END $$", "SELECT 1"],
    "notices by DO": ["DO $$ DECLARE r record; BEGIN FOR r IN TABLE vault LOOP RAISE INFO '%', r; RAISE LOG '%', r.secret; RAISE WARNING USING MESSAGE = r.secret, ERRCODE = '42P01'; END LOOP; END $$"],
    "ASSERT and errors by DO": ["DO $$ BEGIN ASSERT false, (SELECT secret FROM vault WHERE id = 1); END $$", "DO $$ BEGIN PERFORM (SELECT secret FROM vault WHERE id = 1)::regclass; END $$", "DO $$ BEGIN EXECUTE (SELECT secret FROM vault WHERE id = 1); END $$", "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '26000', MESSAGE = (SELECT secret FROM vault WHERE id = 1); END $$"],
    "copied into another table": ["INSERT INTO notes SELECT id, secret FROM vault", "SELECT body FROM notes"],
    "copied by a writing CTE": ["WITH v AS (SELECT secret FROM vault) INSERT INTO notes SELECT 1, secret FROM v RETURNING body", "SELECT body FROM notes"],
    "copied by ON CONFLICT": ["INSERT INTO vault SELECT id, 'x', secret FROM vault ON CONFLICT (id) DO UPDATE SET name = excluded.secret RETURNING name", "SELECT name FROM vault"],
    "copied by UPDATE": ["UPDATE vault SET name = secret", "SELECT name FROM vault"],
    "copied by UPDATE FROM": ["UPDATE notes SET body = v.secret FROM vault v", "INSERT INTO notes VALUES (1, 'x')", "UPDATE notes SET (id, body) = (SELECT pin, secret FROM vault LIMIT 1) RETURNING *", "TABLE notes"],
    "copied by MERGE": ["MERGE INTO notes n USING vault v ON n.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.secret)", "TABLE notes"],
    "copied as a default": ["ALTER TABLE notes ADD COLUMN g text DEFAULT (SELECT secret FROM vault LIMIT 1)", "SELECT g FROM notes"],
    "copied by CREATE TABLE AS": ["CREATE TABLE c1 AS SELECT id, secret AS other FROM vault", "SELECT other FROM c1"],
    "copied by EXPLAIN ANALYZE": ["EXPLAIN ANALYZE CREATE TABLE c2 AS SELECT id, secret AS other FROM vault", "SELECT other FROM c2"],
    "copied by EXECUTE": ["PREPARE z AS SELECT id, secret AS other FROM vault", "CREATE TABLE c3 AS EXECUTE z", "SELECT other FROM c3"],
    "copied by a materialised view": ["CREATE MATERIALIZED VIEW m1 AS SELECT secret AS other FROM vault", "SELECT other FROM m1", "REFRESH MATERIALIZED VIEW m1", "SELECT left(other, 12) FROM m1", "DROP MATERIALIZED VIEW m1"],
    "generated column": ["ALTER TABLE vault ADD COLUMN g text GENERATED ALWAYS AS (secret || '') STORED", "SELECT g FROM vault", "ALTER TABLE vault DROP COLUMN g"],
    "USING of a type change": ["ALTER TABLE vault ALTER COLUMN name TYPE text USING secret", "SELECT name FROM vault"],
    "renamed column": ["ALTER TABLE vault RENAME COLUMN secret TO harmless", "SELECT harmless FROM vault", "ALTER TABLE vault RENAME COLUMN harmless TO secret"],
    "large object": ["SELECT lo_from_bytea(4711, secret::bytea) FROM vault WHERE id = 1", "SELECT lo_get(4711)", "SELECT data FROM pg_largeobject", "SELECT convert_from(lo_get(4711), 'UTF8')"],
    "server file": ["COPY vault (secret) TO '/tmp/chaperone-attack'", "COPY notes (body) FROM '/tmp/chaperone-attack'", "SELECT body FROM notes", "SELECT pg_read_file('/tmp/chaperone-attack')"],
    "temporary objects": ["CREATE TEMP VIEW tv AS SELECT secret AS z FROM vault", "SELECT z FROM tv", "CREATE TEMP TABLE tt AS TABLE vault", "SELECT * FROM tt", "SELECT left(secret, 12) FROM tt"],
    "temporary function": ["CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.vault LIMIT 1'", "SELECT pg_temp.f()", "SELECT upper(pg_temp.f())"],
    "overloaded builtin": ["CREATE FUNCTION public.upper(x int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.vault LIMIT 1'", "SELECT upper(1)", "DROP FUNCTION public.upper(int)"],
    "operator of one's own": ["CREATE FUNCTION public.opf(int, int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.vault LIMIT 1'", "CREATE OPERATOR public.+++ (LEFTARG = int, RIGHTARG = int, FUNCTION = public.opf)", "SELECT 1 +++ 1", "DROP OPERATOR public.+++ (int, int)"],
    "cast of one's own": ["CREATE FUNCTION public.pn(notes) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.vault LIMIT 1'", "CREATE CAST (notes AS text) WITH FUNCTION public.pn(notes)", "SELECT ROW(1, 'x')::notes::text", "DROP CAST (notes AS text)"],
    "aggregate of one's own": ["CREATE AGGREGATE public.glue(text) (SFUNC = textcat, STYPE = text, INITCOND = '')", "SELECT glue(secret) FROM vault", "DROP AGGREGATE public.glue(text)"],
    "prepared then altered": ["PREPARE pa AS SELECT * FROM safe", "EXECUTE pa", "CREATE OR REPLACE VIEW safe AS SELECT pin AS id, secret AS s FROM vault", "EXECUTE pa", "CREATE OR REPLACE VIEW safe AS SELECT id, secret AS s FROM vault", "DEALLOCATE pa"],
    "client_min_messages": ["SET client_min_messages = debug5", "SET debug_print_plan = on", "SELECT folded()", "SELECT secret FROM vault WHERE secret = folded()"],
    "auto_explain": ["LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0", "SET auto_explain.log_verbose = on", "SET client_min_messages = log", "SELECT folded()", "SELECT 1 WHERE folded() = 'x'"],
    "settings of a role": ["DO $$ BEGIN EXECUTE format('ALTER ROLE app SET my.role_thing = %L', (SELECT secret FROM vault WHERE id = 1)); END $$", "SELECT setconfig FROM pg_db_role_setting", "ALTER ROLE app RESET my.role_thing"],
    "comment": ["DO $$ BEGIN EXECUTE format('COMMENT ON TABLE notes IS %L', (SELECT secret FROM vault WHERE id = 1)); END $$", "SELECT obj_description('notes'::regclass)", "SELECT description FROM pg_description WHERE objoid = 'notes'::regclass", "COMMENT ON TABLE notes IS NULL"],
    "replication slot": ["SELECT pg_create_logical_replication_slot('sl', 'test_decoding')", "UPDATE vault SET name = 'q'", "SELECT data FROM pg_logical_slot_peek_changes('sl', NULL, NULL)", "SELECT convert_from(data, 'UTF8') FROM pg_logical_slot_get_binary_changes('sl', NULL, NULL)", "SELECT pg_drop_replication_slot('sl')"],
    "foreign data": ["CREATE EXTENSION postgres_fdw", "SELECT 1"],
    "inherited": ["CREATE TABLE heir (more int) INHERITS (vault)", "SELECT * FROM heir", "ALTER TABLE heir NO INHERIT vault", "DROP TABLE heir"],
    "row level": ["SELECT * FROM vault FOR UPDATE", "LOCK TABLE vault", "BEGIN; SELECT secret FROM vault; COMMIT"],
    "COPY in a transaction": ["BEGIN", "COPY (SELECT secret FROM vault) TO STDOUT", "COPY vault TO STDOUT (FORMAT binary)", "END"],
    "encoding": ["SET client_encoding = 'LATIN1'", "SELECT secret FROM vault", "COPY vault TO STDOUT", "SET client_encoding = 'SJIS'", "SELECT secret, secret::int FROM vault"],
    "strings": ["SET standard_conforming_strings = off", "SELECT secret AS a, 'it\\'s' FROM vault", "SELECT secret FROM vault"],
    "path": ["CREATE SCHEMA evil", "CREATE VIEW evil.notes AS SELECT pin AS id, secret AS body FROM public.vault", "SET search_path = evil, public", "SELECT body FROM notes", "SET search_path = public", "DROP SCHEMA evil CASCADE"],
    "row security": ["SET ROLE postgres", "SELECT secret FROM vault", "RESET ROLE"],
}


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.world.db.admin(SCHEMA)
        cls.world.db.admin("ALTER ROLE app SUPERUSER", "postgres")

    def governed(self, programs):
        return self.world.talk(programs)

    def assert_no_secret(self, steps):
        for messages in steps:
            for tag, body in messages:
                got = bytes.fromhex(body)
                for secret in SECRETS:
                    self.assertNotIn(secret, got, f"{tag}: {got[:400]!r}")

    def test_simple_queries(self):
        for way, steps in zip(WAYS, self.governed([q(way, "SELECT 1") for way in WAYS])):
            with self.subTest(way):
                self.assert_no_secret(steps)

    def test_extended_queries_in_binary(self):
        ways = [way for way in WAYS if not way.startswith("COPY")]
        programs = [[window(["P", "", way], ["B", "", "", [], 1], ["D", "P", ""], ["E", ""])]
                    for way in ways]
        for way, steps in zip(ways, self.governed(programs)):
            with self.subTest(way):
                self.assert_no_secret(steps)

    def test_scripts(self):
        for (name, script), steps in zip(SCRIPTS.items(),
                                         self.governed([q(*one) for one in SCRIPTS.values()])):
            with self.subTest(name):
                self.assert_no_secret(steps)


if __name__ == "__main__":
    unittest.main()
