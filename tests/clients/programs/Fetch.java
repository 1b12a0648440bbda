// SPDX-License-Identifier: GPL-2.0-or-later

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** java.net.http as it is by default: on clear-text HTTP it asks for an upgrade to h2c. */
public class Fetch {
	public static void main(String[] args) throws Exception {
		HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(20)).build();
		HttpResponse<String> answer = client.send(
			HttpRequest.newBuilder(URI.create(args[0])).build(), HttpResponse.BodyHandlers.ofString());
		System.out.print(answer.version() + " " + answer.body());
	}
}
