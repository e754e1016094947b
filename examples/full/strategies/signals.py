"""A strategy's skeleton: answers at /health, which is what its check asks."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", 7000), Health).serve_forever()
