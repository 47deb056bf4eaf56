/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpq's pipeline mode: a refused statement in the middle aborts its part of the pipeline as a
 * native error does, and an implicit transaction is rolled back with it. Argument: a conninfo.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int holds, const char *what, PGconn *connection)
{
	if (holds)
		return;
	fprintf(stderr, "%s: %s\n", what, PQerrorMessage(connection));
	exit(1);
}

static void send(PGconn *connection, const char *sql)
{
	check(PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0), sql, connection);
}

static void expect(PGconn *connection, ExecStatusType status, const char *sqlstate)
{
	PGresult *result = PQgetResult(connection);

	check(result && PQresultStatus(result) == status, PQresStatus(PQresultStatus(result)),
	      connection);
	if (sqlstate)
		check(!strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), sqlstate), sqlstate,
		      connection);
	PQclear(result);
	if (status != PGRES_PIPELINE_SYNC)
		check(!PQgetResult(connection), "one result a query", connection);
}

int main(int argc, char **argv)
{
	PGconn *connection = PQconnectdb(argc > 1 ? argv[1] : "");

	check(PQstatus(connection) == CONNECTION_OK, "connect", connection);
	check(PQenterPipelineMode(connection), "pipeline mode", connection);
	send(connection, "INSERT INTO notes VALUES (100, 'must not stay')");
	send(connection, "DROP TABLE notes");
	send(connection, "INSERT INTO notes VALUES (101, 'must not stay either')");
	check(PQpipelineSync(connection), "sync", connection);
	send(connection, "SELECT count(*) FROM notes WHERE id >= 100");
	check(PQpipelineSync(connection), "sync", connection);

	expect(connection, PGRES_COMMAND_OK, NULL);
	expect(connection, PGRES_FATAL_ERROR, "42501");
	expect(connection, PGRES_PIPELINE_ABORTED, NULL);
	expect(connection, PGRES_PIPELINE_SYNC, NULL);

	PGresult *count = PQgetResult(connection);
	check(PQresultStatus(count) == PGRES_TUPLES_OK && !strcmp(PQgetvalue(count, 0, 0), "0"),
	      "the implicit transaction was rolled back", connection);
	PQclear(count);
	check(!PQgetResult(connection), "one result", connection);
	expect(connection, PGRES_PIPELINE_SYNC, NULL);
	check(PQexitPipelineMode(connection), "leave pipeline mode", connection);

	/* The function call message is not a statement that policy could read. */
	int buffer = 0, length = 0;
	PQArgBlock argument = {.len = 4, .isint = 1, .u.integer = 1};
	PGresult *called = PQfn(connection, 1396 /* abs */, &buffer, &length, 1, &argument, 1);
	check(PQresultStatus(called) == PGRES_FATAL_ERROR &&
		      !strcmp(PQresultErrorField(called, PG_DIAG_SQLSTATE), "0A000"),
	      "function call refused", connection);
	PQclear(called);
	PGresult *after = PQexec(connection, "SELECT 1");
	check(PQresultStatus(after) == PGRES_TUPLES_OK, "the session lives on", connection);
	PQclear(after);
	PQfinish(connection);
	puts("ok");
	return 0;
}
