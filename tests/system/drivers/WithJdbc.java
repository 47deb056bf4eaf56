// SPDX-License-Identifier: Apache-2.0
// The JDBC driver: server-side prepared statements, batches, binary transfer, fetch size.
// Arguments: host port sslmode ca.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class WithJdbc {
    static void check(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", "agent");
        properties.setProperty("password", "x");
        properties.setProperty("sslmode", args[2]);
        if (!args[2].equals("disable")) properties.setProperty("sslrootcert", args[3]);
        properties.setProperty("prepareThreshold", "2");
        String url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/shop";
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (PreparedStatement select = connection.prepareStatement(
                     "SELECT id, email, balance FROM customers WHERE id = ?")) {
                for (int i = 0; i < 6; ++i) {
                    select.setInt(1, 1);
                    try (ResultSet rows = select.executeQuery()) {
                        check(rows.next() && rows.getInt(1) == 1 && rows.getInt(3) == 10, "row");
                        check(!rows.getString(2).contains("example.com"), rows.getString(2));
                    }
                }
            }
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(1);
                try (ResultSet rows = statement.executeQuery("SELECT email FROM customers")) {
                    while (rows.next()) check(!rows.getString(1).contains("example.com"), "leak");
                }
                try {
                    statement.executeUpdate("DROP TABLE customers");
                    throw new AssertionError("the DROP was not refused");
                } catch (SQLException refused) {
                    check(refused.getSQLState().equals("42501"), refused.toString());
                }
                connection.rollback();
            }
            try (PreparedStatement insert = connection.prepareStatement(
                     "INSERT INTO notes VALUES (?, ?)")) {
                for (int i = 0; i < 50; ++i) {
                    insert.setInt(1, i);
                    insert.setString(2, "note " + i);
                    insert.addBatch();
                }
                check(insert.executeBatch().length == 50, "batch");
            }
            connection.rollback();
        }
        System.out.println("ok");
    }
}
