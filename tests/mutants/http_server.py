# SPDX-License-Identifier: GPL-2.0-or-later
"""The server of Python's http.server, which answers with the name that it read."""
import http.server
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"said:{self.headers.get('Host', '')} {self.path}\n".encode("utf-8", "replace"))

    do_GET = do_POST = do_HEAD = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
