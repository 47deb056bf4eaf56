# SPDX-License-Identifier: Apache-2.0
"""Whatever way a masked column is read, its values are in nothing that the client gets.

Everything that came back is kept as bytes, by a client that speaks the protocol by hand, and
searched for each secret, in text and in the binary form of its type.
"""
import json
import struct
import unittest
import uuid

from harness import World, wait_until
from test_postgres_semantics import bind_execute, fields, q, window

SCHEMA = """
CREATE TABLE people (id int PRIMARY KEY, name text, email text UNIQUE, born date, number int,
                     token uuid, papers jsonb, worth numeric, marks int[], words text[],
                     seen timestamptz, plain text);
INSERT INTO people VALUES
 (1, 'Ann', 'secretmail1@example.com', '1987-03-21', 734000111,
  '5ec2e700-1111-4222-8333-444455556666', '{"passport": "SECRETPASS1"}', 73400.0111,
  '{734000222,734000333}', '{SECRETWORD1}', '1987-03-21 01:02:03+00', 'plain-1'),
 (2, 'Bob', 'secretmail2@example.com', '1987-03-22', 734000444,
  '5ec2e700-7777-4888-8999-aaaabbbbcccc', '{"passport": "SECRETPASS2"}', 73400.0222,
  '{734000555}', '{SECRETWORD2}', '1987-03-22 01:02:03+00', 'plain-2');
CREATE VIEW contacts AS SELECT id, email AS mail FROM people;
CREATE VIEW deeper AS SELECT c.mail AS m, p.name FROM contacts c JOIN people p USING (id);
CREATE MATERIALIZED VIEW kept AS SELECT id, email FROM people;
CREATE VIEW moving AS SELECT id, name AS what FROM people;
CREATE FUNCTION tells(int) RETURNS text LANGUAGE sql STABLE
  AS 'SELECT email FROM public.people WHERE id = $1';
CREATE FUNCTION notices() RETURNS void LANGUAGE plpgsql
  AS 'BEGIN RAISE NOTICE ''mail is %'', (SELECT email FROM public.people WHERE id = 1); END';
CREATE TABLE notes (id int, body text);
INSERT INTO notes VALUES (1, 'write to found.by.detector@example.org today');
ANALYZE people;
"""
POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: masking}
spec:
  rules:
  - id: pii
    mask:
    - {columns: ["*.email", "*.born", "*.number", "*.token", "*.papers", "*.worth", "*.marks",
                 "*.words", "*.seen"], with: redact}
  - id: texts
    mask:
    - {detect: [EMAIL_ADDRESS], with: redact}
  - {id: rest, allow: {unknown: true}}
"""

SECRETS = [b"secretmail", b"SECRETMAIL", b"liamterces", b"1987-03", b"7340001", b"7340002",
           b"7340004", b"5ec2e700", b"SECRETPASS", b"73400.0", b"SECRETWORD", b"found.by.detector",
           b"moc.elpmaxe",
           uuid.UUID("5ec2e700-1111-4222-8333-444455556666").bytes,
           uuid.UUID("5ec2e700-7777-4888-8999-aaaabbbbcccc").bytes,
           struct.pack("!i", 734000111), struct.pack("!i", 734000444),
           struct.pack("!i", 734000222), struct.pack("!i", 734000555),
           # days since 2000-01-01, microseconds since it, base 10,000 digits of 73400.0111
           struct.pack("!ii", 4, -4669), struct.pack("!ii", 4, -4668),
           struct.pack("!q", -403397877000000), struct.pack("!hhh", 7, 3400, 111),
           struct.pack("!hhh", 7, 3400, 222)]

COLUMNS = ["email", "born", "number", "token", "papers", "worth", "marks", "words", "seen"]

WAYS = [
    "SELECT * FROM people", "SELECT people FROM people", "SELECT p FROM people p",
    "SELECT (p).email FROM people p", "SELECT (p.*)::text FROM people p", "TABLE people",
    "SELECT upper(email) FROM people", "SELECT reverse(email) FROM people",
    "SELECT email || '!' AS harmless FROM people", "SELECT left(email, 11) FROM people",
    "SELECT CASE WHEN id = 1 THEN email ELSE 'x' END FROM people",
    "SELECT coalesce(NULL, email) FROM people", "SELECT max(email) FROM people",
    "SELECT string_agg(email, ',') FROM people", "SELECT array_agg(email) FROM people",
    "SELECT json_agg(people) FROM people", "SELECT row_to_json(people) FROM people",
    "SELECT to_jsonb(p) FROM people p", "SELECT jsonb_build_object('a', email) FROM people",
    "SELECT x.a FROM (SELECT email AS a FROM people) x",
    "SELECT (SELECT email FROM people WHERE id = 1)",
    "WITH c AS (SELECT * FROM people) SELECT c.email FROM c",
    "WITH RECURSIVE r(n, e) AS (SELECT 1, email FROM people WHERE id = 1 UNION ALL "
    "SELECT n + 1, e FROM r WHERE n < 3) SELECT e FROM r",
    "SELECT a.email FROM people a JOIN people b ON a.id = b.id",
    "SELECT * FROM people a NATURAL JOIN people b", "SELECT * FROM people a JOIN notes USING (id)",
    "SELECT name FROM people UNION SELECT email FROM people",
    "SELECT name FROM people UNION ALL (SELECT email FROM people EXCEPT SELECT 'x')",
    "SELECT * FROM contacts", "SELECT mail FROM contacts", "SELECT m FROM deeper",
    "SELECT * FROM deeper", "SELECT * FROM kept", "SELECT tells(1)", "SELECT * FROM tells(1) f(x)",
    "SELECT l.e FROM people p, LATERAL (SELECT p.email AS e) l",
    "SELECT e FROM people, unnest(ARRAY[email]) e",
    "SELECT regexp_matches(email, '.*') FROM people",
    "SELECT first_value(email) OVER () FROM people",
    "SELECT v FROM (VALUES ((SELECT email FROM people WHERE id = 1))) AS t(v)",
    "SELECT (ROW(email, 1)) FROM people", "SELECT ARRAY(SELECT email FROM people)",
    "UPDATE people SET plain = 'z' WHERE id = 1 RETURNING email",
    "UPDATE people SET plain = 'z' WHERE id = 1 RETURNING *",
    "WITH u AS (UPDATE people SET plain = 'y' WHERE id = 1 RETURNING *) SELECT * FROM u",
    "INSERT INTO notes SELECT 2, 'n' RETURNING (SELECT email FROM people WHERE id = 1)",
    "SELECT query_to_xml('SELECT email FROM people', true, false, '')",
    "SELECT body FROM notes", "SELECT upper(body) FROM notes",
    "COPY people TO STDOUT", "COPY people (email, born) TO STDOUT (FORMAT csv, HEADER)",
    "COPY people TO STDOUT (FORMAT binary)", "COPY (SELECT email FROM people) TO STDOUT",
    "COPY (SELECT * FROM people) TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)",
    "COPY (SELECT upper(email) e FROM contacts c JOIN people USING (id)) TO STDOUT",
    "COPY notes TO STDOUT", "COPY notes TO STDOUT (FORMAT binary)",
    "EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off) SELECT email FROM people "
    "WHERE email = 'none@example.com'",
    # Messages that carry a value.
    "SELECT email::int FROM people", "SELECT (email || '')::date FROM people",
    "SELECT email::uuid FROM people", "SELECT papers::text::int FROM people",
    "INSERT INTO people (id, email) SELECT 9, email FROM people WHERE id = 1",
    "UPDATE people SET email = (SELECT email FROM people WHERE id = 2) WHERE id = 1",
    "SELECT notices()",
    "SELECT pg_input_error() FROM people", "SELECT born::text::int FROM people",
    "SELECT * FROM pg_stats WHERE tablename = 'people'",
    "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'people'",
]

SCRIPTS = {
    "cursor": ["BEGIN", "DECLARE c CURSOR FOR SELECT email, born FROM people", "FETCH 1 FROM c",
               "FETCH ALL FROM c", "MOVE BACKWARD ALL IN c", "FETCH FORWARD 2 FROM c", "COMMIT"],
    "cursor with hold": ["DECLARE h CURSOR WITH HOLD FOR TABLE people", "FETCH ALL FROM h",
                         "CLOSE h"],
    "prepare and execute": ["PREPARE p AS SELECT email FROM people", "EXECUTE p", "EXECUTE p"],
    "prepare with a parameter": ["PREPARE p(int) AS SELECT * FROM people WHERE id = $1",
                                 "EXECUTE p(1)", "EXPLAIN ANALYZE EXECUTE p(2)"],
    "create table as": ["CREATE TABLE copied AS SELECT id, email AS other FROM people",
                        "SELECT * FROM copied", "SELECT other FROM copied"],
    "temporary table": ["CREATE TEMP TABLE mine AS SELECT email AS e FROM people",
                        "SELECT * FROM mine", "SELECT e FROM mine"],
    "select into": ["SELECT email AS e INTO TEMP gone FROM people", "SELECT e FROM gone"],
    "a table of this session": ["CREATE TABLE fresh (id int, email text)",
                                "INSERT INTO fresh SELECT id, email FROM people",
                                "SELECT email FROM fresh", "SELECT fresh FROM fresh",
                                "DROP TABLE fresh"],
    # A table of the session's own is known by its name, until the name may stand for something else.
    "dropped, then the view": ["CREATE TEMP TABLE contacts (id int, mail text)",
                               "SELECT mail FROM contacts", "DROP TABLE contacts",
                               "SELECT mail FROM contacts", "SELECT * FROM contacts"],
    "rolled back, then the view": ["BEGIN", "CREATE TEMP TABLE contacts (id int, mail text)",
                                   "SELECT mail FROM contacts", "ROLLBACK",
                                   "SELECT mail FROM contacts"],
    "to a savepoint, then the view": ["BEGIN", "SAVEPOINT s",
                                      "CREATE TEMP TABLE contacts (id int, mail text)",
                                      "ROLLBACK TO s", "SELECT mail FROM contacts", "COMMIT"],
    "dropped at commit, then the view": [
        "BEGIN", "CREATE TEMP TABLE contacts (id int, mail text) ON COMMIT DROP",
        "SELECT mail FROM contacts", "COMMIT", "SELECT mail FROM contacts"],
    "one text, then the view": ["CREATE TEMP TABLE contacts (mail text); DROP TABLE contacts; "
                                "SELECT mail FROM contacts",
                                "BEGIN; CREATE TEMP TABLE contacts (mail text); ROLLBACK; "
                                "SELECT mail FROM contacts", "SELECT mail FROM contacts"],
    "discarded, then the view": ["CREATE TEMP TABLE contacts (mail text)", "DISCARD TEMP",
                                 "SELECT mail FROM contacts"],
    "the view first in the path": ["CREATE TEMP TABLE contacts (mail text)",
                                   "SET search_path = public, pg_temp",
                                   "SELECT mail FROM contacts"],
    "the view by its schema": ["CREATE TEMP TABLE contacts (mail text)",
                               "SELECT mail FROM public.contacts", "DROP TABLE pg_temp.contacts"],
    "dropped by code": ["CREATE TEMP TABLE contacts (mail text)",
                        "DO $$ BEGIN EXECUTE 'drop ' || 'table pg_temp.contacts'; END $$",
                        "SELECT mail FROM contacts"],
    "exists already": ["CREATE TABLE contacts (id int, mail text)", "SELECT mail FROM contacts"],
    "filled, renamed and read": [
        "CREATE TEMP TABLE own (email text, t text)", "INSERT INTO own (email) SELECT email FROM people",
        "SELECT email, t FROM own", "INSERT INTO own (t) SELECT email FROM people",
        "UPDATE own SET t = email", "ALTER TABLE own RENAME COLUMN email TO free",
        "SELECT * FROM own", "DROP TABLE own"],
    "a parent of the session's own": [
        "CREATE TEMP TABLE above (email text, t text)",
        "CREATE TEMP TABLE below () INHERITS (above)",
        "INSERT INTO below (email) SELECT email FROM people", "SELECT * FROM above",
        "ALTER TABLE above RENAME email TO mailbox", "SELECT mailbox FROM above",
        "SELECT * FROM above", "DROP TABLE above CASCADE"],
    "renamed": ["BEGIN", "ALTER TABLE people RENAME COLUMN email TO post",
                "SELECT post FROM people", "SELECT * FROM people", "ROLLBACK",
                "SELECT email FROM people"],
    "a view of this session": ["CREATE VIEW later AS SELECT email AS zzz FROM people",
                               "SELECT zzz FROM later", "DROP VIEW later"],
    "a temporary view shadows": ["CREATE TEMP VIEW notes AS SELECT email AS body FROM people",
                                 "SELECT body FROM notes", "SELECT upper(body) FROM notes"],
    "search_path": ["SET search_path = pg_temp, public", "SELECT email FROM people"],
    "styles of dates": ["SET datestyle = 'SQL, DMY'", "SELECT born, seen FROM people",
                        "SET datestyle = 'German'", "SELECT born::text FROM people"],
    "DO raises": ["DO $$ DECLARE e text; BEGIN SELECT email INTO e FROM people WHERE id = 1; "
                  "RAISE NOTICE 'it is %', e; END $$"],
    "prepared, then a view is redefined": [
        "CREATE VIEW turns AS SELECT name AS w FROM people",
        "PREPARE t AS SELECT left(w, 11) FROM turns", "EXECUTE t", "BEGIN",
        "CREATE OR REPLACE VIEW turns AS SELECT email::text AS w FROM people", "EXECUTE t",
        "COMMIT", "EXECUTE t", "DROP VIEW turns"],
    "prepared, then the path changes": [
        "CREATE SCHEMA other", "CREATE VIEW other.people AS SELECT email AS name FROM public.people",
        "PREPARE s AS SELECT left(name, 11) FROM people", "SET search_path = other, public",
        "EXECUTE s", "RESET search_path", "DROP SCHEMA other CASCADE"],
    "many statements": ["SELECT 1; SELECT email FROM people; SELECT name FROM people"],
}


def row_of(body):
    """The values of a DataRow in text; none is null."""
    values, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        size, = struct.unpack_from("!i", body, at)
        values.append(body[at + 4:at + 4 + size].decode())
        at += 4 + size
    return values


class Masking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def governed(self, programs):
        return self.world.talk(programs)

    def assert_no_secret(self, steps):
        for messages in steps:
            for tag, body in messages:
                self.assertNotEqual(tag, "closed", "the session ended")
                got = bytes.fromhex(body)
                # A message of another type would begin with a length: what is searched is the body.
                for secret in SECRETS:
                    self.assertNotIn(secret, got, f"{tag}: {got[:300]!r}")

    def test_simple_queries(self):
        answered = 0
        for way, steps in zip(WAYS, self.governed([q(way, "SELECT 1") for way in WAYS])):
            answered += any(tag in "Dd" for tag, _ in steps[0])
            with self.subTest(way):
                self.assert_no_secret(steps)
        # Rows came back; nothing was hidden by an error.
        self.assertGreaterEqual(answered, len(WAYS) - 10)

    def test_the_secrets_would_be_found(self):
        # Past Chaperone, the same values are there: the search itself works.
        plain = self.world.db.admin("SELECT email, born, number, token, papers, worth, marks, words"
                                    " FROM people")
        for secret in SECRETS[:2]:
            self.assertEqual(secret.lower() in plain.encode().lower(), True)
        for secret in (b"1987-03", b"7340001", b"5ec2e700", b"SECRETPASS", b"73400.0",
                       b"SECRETWORD"):
            self.assertIn(secret, plain.encode())

    def test_extended_queries_in_text_and_binary(self):
        ways = [way for way in WAYS if not way.startswith("COPY")] + [
            f"SELECT id, {column} FROM people" for column in COLUMNS]
        for result in (0, 1):
            programs = [[window(["P", "s", way], ["D", "S", "s"]),
                         window(["B", "", "s", [], result], ["E", "", 1], ["E", ""]),
                         window(["B", "", "s", [], result], ["D", "P", ""], ["E", ""]),
                         window(["B", "", "s", [], result], ["E", ""])] for way in ways]
            for way, steps in zip(ways, self.governed(programs)):
                with self.subTest(way, result=result):
                    self.assert_no_secret(steps)

    def test_extended_copy(self):
        ways = [way for way in WAYS if way.startswith("COPY")]
        for way, steps in zip(ways, self.governed(
                [[window(["P", "", way], *bind_execute())] for way in ways])):
            with self.subTest(way):
                self.assert_no_secret(steps)

    def test_scripts(self):
        for (name, script), steps in zip(SCRIPTS.items(),
                                         self.governed([q(*one) for one in SCRIPTS.values()])):
            with self.subTest(name):
                self.assert_no_secret(steps)

    def test_what_is_not_masked_passes_as_it_is(self):
        steps, = self.governed([q("SELECT id, name, plain FROM people WHERE id = 2")])
        rows = [bytes.fromhex(body) for tag, body in steps[0] if tag == "D"]
        self.assertEqual(len(rows), 1)
        for value in (b"2", b"Bob", b"plain-2"):
            self.assertIn(value, rows[0])

    def test_operators_of_an_extension_compute_and_those_of_a_user_may_do_anything(self):
        self.world.db.admin("CREATE EXTENSION hstore")
        self.world.db.admin(
            "SET ROLE app; CREATE FUNCTION takes(box, box) RETURNS text LANGUAGE sql"
            " AS 'SELECT reverse(email) FROM public.people LIMIT 1';"
            "CREATE OPERATOR public.%% (FUNCTION = takes, LEFTARG = box, RIGHTARG = box)")
        minus, user = self.governed([q("SELECT 10 - 3"), q("SELECT box '1,1,2,2' %% '1,1,2,2'")])
        self.assertEqual([row_of(bytes.fromhex(body)) for tag, body in minus[0] if tag == "D"],
                         [["7"]])
        self.assert_no_secret(user)

    def test_tables_of_the_sessions_own_are_read_as_they_are(self):
        steps = ["BEGIN", "CREATE TEMP TABLE own (id serial PRIMARY KEY, t text)",
                 "INSERT INTO own (t) VALUES ('one'), ('two') RETURNING id, t", "TABLE own",
                 "CREATE TABLE kept_own (n numeric)", "INSERT INTO kept_own VALUES (1.5)",
                 "SELECT n, upper(t) FROM kept_own, own WHERE id = 2", "COMMIT",
                 "SELECT n, t FROM kept_own, own WHERE id = 1", "DROP TABLE kept_own, own",
                 "CREATE TEMP TABLE own (t text); INSERT INTO own VALUES ('three'); TABLE own"]
        heard = self.governed([q(*steps)])[0]
        rows = [[row_of(bytes.fromhex(body)) for tag, body in messages if tag == "D"]
                for messages in heard]
        self.assertEqual([r for r in rows if r],
                         [[["1", "one"], ["2", "two"]], [["1", "one"], ["2", "two"]],
                          [["1.5", "TWO"]], [["1.5", "one"]], [["three"]]])

    def test_masked_values_are_of_their_types(self):
        # What the client got back, the server itself can read as that type.
        got = self.world.psql("SELECT born, number, token, papers, worth, marks, words, seen "
                              "FROM people WHERE id = 1").stdout.strip().split("|")
        types = ["date", "int", "uuid", "jsonb", "numeric", "int[]", "text[]", "timestamptz"]
        self.assertEqual(len(got), len(types), got)
        for value, name in zip(got, types):
            if value:
                self.world.db.admin(f"SELECT $x${value}$x$::{name}")

    def test_a_view_that_another_session_redefines(self):
        # One session stays open meanwhile; it learns of the new definition within seconds.
        agent = self.world.chaperone.popen_agent(
            ["/usr/bin/python3", "-c", FOLLOW, "127.0.0.1", str(self.world.db.port),
             str(self.world.raw_pg().parent)], stdin=-1)
        try:
            self.assertEqual(self.said(agent, "SELECT what FROM moving ORDER BY id")[0], b"Ann")
            self.said(agent, "PREPARE early AS SELECT left(what, 11) FROM moving")
            self.world.db.admin("CREATE OR REPLACE VIEW moving AS SELECT id, email AS what "
                                "FROM people")
            # Halves of an address, so that the detector has no part in it.
            wait_until(lambda: all(b"secretmail" not in value for value in
                                   self.said(agent, "SELECT left(what, 11) FROM moving")),
                       "the view's new meaning is known")
            for value in self.said(agent, "EXECUTE early"):
                self.assertNotIn(b"secretmail", value)
        finally:
            agent.stdin.close()
            agent.wait(20)
            agent.stdout.close()
            agent.stderr.close()

    def said(self, agent, sql):
        agent.stdin.write(sql + "\n")
        agent.stdin.flush()
        line = agent.stdout.readline()
        self.assertTrue(line, "the agent ended")
        rows = [bytes.fromhex(body) for tag, body in json.loads(line) if tag == "D"]
        return [row[6:] for row in rows]


# Queries by line, messages by line.
FOLLOW = """
import json, sys
sys.path.insert(0, sys.argv[3])
from raw_pg import Line
line = Line(sys.argv[1], sys.argv[2], "agent", "shop", "x")
for sql in sys.stdin:
    print(json.dumps(line.step({"send": [["Q", sql.strip()]], "ready": 1})), flush=True)
"""


if __name__ == "__main__":
    unittest.main()
