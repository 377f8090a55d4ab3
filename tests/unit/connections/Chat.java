import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.stream.Stream;

/** Asks a server for a whole answer, a stream, and both twice more: `java Chat.java URL WHOLE STREAM`. */
public class Chat {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        URI url = URI.create(arguments[0]);
        HttpResponse<String> whole = client.send(post(url, arguments[1]), HttpResponse.BodyHandlers.ofString());
        System.out.println(whole.statusCode() + " " + whole.version() + " " + whole.body());
        HttpResponse<Stream<String>> stream =
            client.send(post(url, arguments[2]), HttpResponse.BodyHandlers.ofLines());
        System.out.println(stream.statusCode() + " " + stream.version());
        stream.body().forEach(System.out::println);
        for (int round = 0; round < 2; round++) {
            for (String body : new String[] {arguments[1], arguments[2]}) {
                HttpResponse<Void> again = client.send(post(url, body), HttpResponse.BodyHandlers.discarding());
                System.out.println(again.statusCode() + " " + again.version());
            }
        }
        System.out.println("preferred " + client.version());
    }

    private static HttpRequest post(URI url, String body) {
        return HttpRequest.newBuilder(url)
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    }
}
