// SPDX-License-Identifier: GPL-2.0-or-later
// Servers of the JDK. That of TLS says which name it read from which port of the client's, that of HTTP answers with it.
import com.sun.net.httpserver.HttpServer;
import java.io.FileInputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.KeyStore;
import java.util.List;
import java.util.concurrent.Executors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SNIMatcher;
import javax.net.ssl.SNIServerName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public class Servers {
	public static void main(String[] args) throws Exception {
		InetAddress here = InetAddress.getByName("127.0.0.1");
		HttpServer plain = HttpServer.create(new InetSocketAddress(here, Integer.parseInt(args[1])), 100);
		plain.createContext("/", exchange -> {
			String said = "said:" + exchange.getRequestHeaders().getFirst("Host") + " " + exchange.getRequestURI() + "\n";
			exchange.sendResponseHeaders(200, 0);
			exchange.getResponseBody().write(said.getBytes("UTF-8"));
			exchange.close();
		});
		plain.setExecutor(Executors.newCachedThreadPool());
		plain.start();
		KeyStore store = KeyStore.getInstance("PKCS12");
		store.load(new FileInputStream(args[2]), "secret".toCharArray());
		KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
		keys.init(store, "secret".toCharArray());
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), null, null);
		SSLServerSocket secure = (SSLServerSocket)context.getServerSocketFactory().createServerSocket(
			Integer.parseInt(args[0]), 100, here);
		PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
		while (true) {
			SSLSocket sock = (SSLSocket)secure.accept();
			SSLParameters parameters = sock.getSSLParameters();
			int port = sock.getPort();
			parameters.setSNIMatchers(List.of(new SNIMatcher(0) {
				public boolean matches(SNIServerName name) {
					String text = new String(name.getEncoded(), java.nio.charset.StandardCharsets.ISO_8859_1);
					synchronized (out) {
						out.print("java-tls " + port + " " + text.replace("\n", " ") + "\n");
						out.flush();
					}
					return true;
				}
			}));
			sock.setSSLParameters(parameters);
			new Thread(() -> {
				try {
					sock.setSoTimeout(3000);
					sock.startHandshake();
					sock.close();
				} catch (Exception e) {
					try {
						sock.close();
					} catch (Exception f) {
					}
				}
			}).start();
		}
	}
}
