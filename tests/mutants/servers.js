// SPDX-License-Identifier: GPL-2.0-or-later
// Servers of Node, which is OpenSSL and llhttp. That of TLS says which name it read from which port of the client's,
// that of HTTP answers with it.
const fs = require("fs"), http = require("http"), net = require("net"), tls = require("tls");
const [tlsPort, httpPort, cert, key] = process.argv.slice(2);
const context = tls.createSecureContext({cert: fs.readFileSync(cert), key: fs.readFileSync(key)});
net.createServer(sock => {
	const port = sock.remotePort;
	sock.on("error", () => {});
	new tls.TLSSocket(sock, {isServer: true, secureContext: context, SNICallback: (name, done) => {
		fs.writeSync(1, `node-tls ${port} ${JSON.stringify(String(name))}\n`);
		done(null, context);
	}}).on("error", () => {});
}).listen(+tlsPort, "127.0.0.1");
const said = request => `said:${JSON.stringify(`${request.headers.host || ""} ${request.url}`)}\n`;
const plain = http.createServer((request, response) => {
	response.setHeader("x-said", said(request).trim()); // HEAD has no body
	response.end(said(request));
}).listen(+httpPort, "127.0.0.1");
plain.on("connect", (request, sock) => sock.on("error", () => {}).end(said(request)));
plain.on("upgrade", (request, sock) => sock.on("error", () => {}).end(said(request)));
