"""nginx in its two roles: the ingress in front of the gateway, and the origin of streams behind it."""

import os
import socket

from .processes import Process, answers, free_port
from .waiting import until


def _listen(port, options=""):
    """Both loopback addresses where there are both: some clients try ::1 for localhost first."""
    addresses = ["127.0.0.1", "[::1]"] if _has_ipv6_loopback() else ["127.0.0.1"]
    return " ".join(f"listen {address}:{port}{options};" for address in addresses)


def _has_ipv6_loopback():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Nginx(Process):
    """An nginx with `servers` as the inside of its `http` block; everything it writes stays in `folder`."""

    def __init__(self, name, folder, servers, port):
        self.port = port
        folder.mkdir(parents=True, exist_ok=True)
        temporary = "\n".join(
            f"    {kind}_temp_path {folder}/{kind}_temp;"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"""{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
{temporary}
    log_format asked '$request_method $request_uri $status "$http_range" "$http_authorization" "$http_cookie"';
    access_log {folder}/access.log asked;
{servers}
}}
"""
        )
        super().__init__(
            name, ["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf", "-g", "daemon off;"], folder
        )
        until(lambda: self.exit_code is not None or answers(port), f"{name} to listen")
        assert self.exit_code is None, self.tail()

    @property
    def access_log(self):
        return (self.folder / "access.log").read_text()


def ingress(folder, backend_port, certificate, body_limit="1m", keeps_requests=True):
    """Set up the way ingress-nginx sets up a location: TLS here, plain HTTP/1.1 and upgrades to the gateway.

    Answers pass as they come. Requests do only without `keeps_requests`, which the annotation proxy-request-buffering
    turns off; proxy-body-size is the other that long uploads want. Both are as ingress-nginx has them by default.
    """
    port = free_port()
    servers = f"""
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    map $http_x_request_id $req_id {{ default $http_x_request_id; '' $request_id; }}
    upstream gateway {{
        server 127.0.0.1:{backend_port} max_fails=0;
        keepalive 320;
        keepalive_requests 10000;
    }}
    server {{
        {_listen(port, " ssl")}
        server_name localhost;
        server_tokens off;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_buffer_size 4k;
        client_max_body_size {body_limit};
        location / {{
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Request-ID $req_id;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Scheme $scheme;
            proxy_set_header X-Scheme $scheme;
            proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
            proxy_set_header Proxy "";
            proxy_connect_timeout 5s;
            proxy_send_timeout 3600s;
            proxy_read_timeout 3600s;
            proxy_buffering off;
            proxy_request_buffering {"on" if keeps_requests else "off"};
            proxy_http_version 1.1;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries 3;
            proxy_redirect off;
            proxy_pass http://gateway;
        }}
    }}
"""
    return Nginx("ingress", folder, servers, port)


def origin(folder, files, locations=""):
    """Serves `files`, and writes down what was asked of it, credentials included."""
    port = free_port()
    servers = f"""
    types {{
        application/vnd.apple.mpegurl m3u8;
        video/mp2t ts;
        video/mp4 mp4 m4s;
        text/vtt vtt;
        application/octet-stream key;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {files};
        {locations}
    }}
"""
    server = Nginx("origin", folder, servers, port)
    server.origin = f"http://127.0.0.1:{port}"
    return server
