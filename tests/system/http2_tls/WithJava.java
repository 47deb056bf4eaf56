// SPDX-License-Identifier: Apache-2.0
// java.net.http over TLS, which asks for HTTP/2 by itself. Argument: the base URL.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.concurrent.CompletableFuture;

class WithJava {
    static final HttpClient client = HttpClient.newHttpClient();

    static CompletableFuture<HttpResponse<String>> ask(String url, String body) {
        var request = HttpRequest.newBuilder(URI.create(url));
        if (body != null) request.POST(BodyPublishers.ofString(body));
        return client.sendAsync(request.build(), BodyHandlers.ofString()).thenApply(answer -> {
            expect(answer.version() == HttpClient.Version.HTTP_2, "HTTP/2 for " + url);
            return answer;
        });
    }

    static void expect(boolean fine, String what) {
        if (!fine) throw new AssertionError(what);
    }

    static String seen(HttpResponse<String> answer) {
        return answer.headers().firstValue("x-seen").orElse("nothing");
    }

    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        var first = ask(base + "/first", null).get();
        expect(first.body().equals("/first"), "the first answer");
        String large = "0123456789".repeat(300000);
        var all = new ArrayList<CompletableFuture<?>>();
        for (int i = 0; i < 50; i++) {
            String path = "/item/" + i;
            all.add(ask(base + path, null).thenAccept(answer -> expect(
                answer.body().equals(path) && seen(answer).equals(seen(first)), path)));
        }
        for (int i = 0; i < 3; i++) {
            all.add(ask(base + "/echo", large).thenAccept(
                answer -> expect(answer.body().equals(large), "an upload comes back")));
            all.add(ask(base + "/admin/x", null).thenAccept(answer -> expect(
                answer.statusCode() == 403 && answer.body().contains("\"rule\":\"no-admin\""),
                "a refusal")));
        }
        for (var one : all) one.get();
        expect(ask(base + "/slowly", null).get().body().lines().count() == 5, "a slow answer");
        expect(ask(base + "/large", null).get().body().length() == 5000000, "a large answer");
        System.out.println("java fine");
    }
}
