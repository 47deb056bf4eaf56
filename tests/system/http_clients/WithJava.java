// SPDX-License-Identifier: Apache-2.0
// java.net.http, as an agent uses it. Argument: the base URL.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

class WithJava {
    static final HttpClient client =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static String ask(String method, String url, String body, int status) throws Exception {
        var publisher = body.isEmpty() ? BodyPublishers.noBody() : BodyPublishers.ofString(body);
        var request = HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build();
        var answer = client.send(request, BodyHandlers.ofString());
        if (answer.statusCode() != status)
            throw new AssertionError(method + " " + url + ": " + answer.statusCode());
        return answer.body();
    }

    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        for (int i = 0; i < 20; i++)
            if (!ask("GET", base + "/echo", "", 200).equals("GET /echo \n"))
                throw new AssertionError("echo");
        ask("PUT", base + "/upload/java", "j".repeat(100000), 201);
        if (!ask("DELETE", base + "/upload/java", "", 403).contains("\"rule\":\"no-delete\""))
            throw new AssertionError("the refusal");
        if (ask("GET", base + "/big", "", 200).length() != 1000000)
            throw new AssertionError("a download");
        // Without a version of its own this client asks for h2c first.
        var plain = HttpClient.newHttpClient();
        var request = HttpRequest.newBuilder(URI.create(base + "/echo")).build();
        if (plain.send(request, BodyHandlers.ofString()).statusCode() != 200)
            throw new AssertionError("the wish for HTTP/2");
        System.out.println("java fine");
    }
}
