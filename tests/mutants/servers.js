// SPDX-License-Identifier: GPL-2.0-or-later
// Servers of Node, which is OpenSSL and llhttp: each says which name it read from which port of the client's.
const fs = require("fs"), http = require("http"), net = require("net"), tls = require("tls");
const say = (kind, port, name) => console.log(`${kind} ${port} ${JSON.stringify(String(name))}`);
const context = tls.createSecureContext({cert: fs.readFileSync(process.argv[2]), key: fs.readFileSync(process.argv[3])});
const secure = net.createServer(sock => {
	const port = sock.remotePort;
	sock.on("error", () => {});
	new tls.TLSSocket(sock, {isServer: true, secureContext: context, SNICallback: (name, done) => {
		say("node-tls", port, name);
		done(null, context);
	}}).on("error", () => {});
}).listen(0, "127.0.0.1", () => say("node-tls-listens", secure.address().port, ""));
const plain = http.createServer((request, response) => {
	say("node-http", request.socket.remotePort, `${request.headers.host || ""} ${request.url}`);
	response.end();
}).listen(0, "127.0.0.1", () => say("node-http-listens", plain.address().port, ""));
plain.on("connect", (request, sock) => { say("node-http", sock.remotePort, request.url); sock.destroy(); });
plain.on("upgrade", (request, sock) => { say("node-http", sock.remotePort, request.headers.host || ""); sock.destroy(); });
