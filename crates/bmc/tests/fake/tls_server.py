# A BMC that speaks Redfish over whatever TLS it is told to; its port is the first line of its output.
# Arguments: certificate, key, oldest and newest version, cipher suites.
import http.server, json, ssl, sys
certificate, key, least, most, ciphers = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion[least]
context.maximum_version = ssl.TLSVersion[most]
context.set_ciphers(ciphers + ":@SECLEVEL=0")
context.load_cert_chain(certificate, key)
resources = {
    "/redfish/v1": {"RedfishVersion": "1.0.0", "Systems": {"@odata.id": "/redfish/v1/Systems"}},
    "/redfish/v1/Systems": {"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]},
    "/redfish/v1/Systems/1": {"@odata.id": "/redfish/v1/Systems/1", "PowerState": "On"},
}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(resources.get(self.path.rstrip("/"), {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    def finish_request(self, request, client):
        super().finish_request(context.wrap_socket(request, server_side=True), client)
    def handle_error(self, *_):
        pass
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
