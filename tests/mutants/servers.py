# SPDX-License-Identifier: GPL-2.0-or-later
"""The server of Python's http.server, which says which name it read from which port of the client's."""
import http.server
import json


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        name = f"{self.headers.get('Host', '')} {self.path}"
        print(f"python-http {self.client_address[1]} {json.dumps(name)}\n", end="", flush=True)
        self.send_response(200)
        self.end_headers()

    do_GET = do_POST = do_HEAD = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("python-http-listens", server.server_address[1], '""', flush=True)
server.serve_forever()
